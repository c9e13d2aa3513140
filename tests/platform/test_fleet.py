"""Deployments with real processes: started, loaded, scaled, killed, replaced, and ended with us."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.instance import Instance, still_alive
from tests.support.client import Client
from tests.support.model_server import Reply
from tests.support.model_servers import OpenAIServer
from tests.support.servers import wait_for

pytestmark = pytest.mark.platform
LIVE = ("starting", "ready", "busy", "draining")


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    """A model that thinks for 0.4 s, or for 4 where it is told to take its time."""

    def script(body: dict[str, Any]) -> Reply:
        return Reply("Done.", delay=4 if "slowly" in str(body["messages"]) else 0.4)

    with OpenAIServer(script=script) as server:
        yield server


@pytest.fixture(scope="module")
def instance(
    new_instance: Callable[..., Instance], prepared_data: Any, model: OpenAIServer
) -> Instance:
    settings = {
        "SPARKOPS_DEMO": "off",
        "SPARKOPS_EGRESS_ALLOW": model.address,
        "SPARKOPS_MAX_REPLICAS": "4",
    }
    return new_instance(prepared_data(), **settings).start()


class Deployed:
    """An agent deployed to dev, with a workflow that asks it."""

    def __init__(self, instance: Instance, model: OpenAIServer) -> None:
        self.instance = instance
        self.client = client = Client(instance.url).register("Ana")
        config = {"provider": "openai", "base_url": model.base_url, "model": "small"}
        body = {"project": client.project, "slug": "packer", "name": "Packer", "kind": "model"}
        self.agent = client.made("/agents", {**body, "config": config})
        nodes = [{"id": "ask", "kind": "agent", "agent": "packer", "prompt": "${input.say}"}]
        self.workflow = client.make_workflow("asks", {"nodes": nodes, "edges": []})

    def post(self, verb: str, **body: Any) -> dict[str, Any]:
        """A verb on the agent in dev."""
        path = f"/agents/{self.agent['id']}/{verb}"
        return self.client.made(path, {"environment": "dev", **body})

    def deployment(self) -> dict[str, Any]:
        """As it stands."""
        return self.client.get(f"/agents/{self.agent['id']}/deployments").json()["results"][0]

    def live(self, *states: str) -> list[dict[str, Any]]:
        """Its instances in these states."""
        query = {"agent": self.agent["id"], "page_size": 100}
        rows = self.client.get("/instances", **query).json()["results"]
        return [row for row in rows if row["state"] in (states or LIVE)]

    def stands(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """Wait for so many ready instances, and no others."""

        def is_so() -> bool:
            return len(self.live("ready", "busy")) == count == len(self.live())

        wait_for(is_so, seconds, f"{count} instances")
        return self.live()

    def history(self, kind: str) -> list[dict[str, Any]]:
        """Lines of its history of one kind, the newest first."""
        path = f"/agents/{self.agent['id']}/deployment-events"
        return self.client.get(path, kind=kind, page_size=100).json()["results"]

    def start(self, count: int, say: str = "Go") -> list[str]:
        """Start runs that say this to the model."""
        return [self.client.start(self.workflow, {"say": say})["id"] for _ in range(count)]

    def workers(self, runs: list[str]) -> set[str]:
        """Which workers did the steps; each was tried once."""
        steps = [step for run in runs for step in self.client.steps(run)]
        assert all(len(step["attempts"]) == 1 for step in steps)
        return {step["attempts"][0]["worker"] for step in steps}


@pytest.fixture(scope="module")
def deployed(instance: Instance, model: OpenAIServer) -> Deployed:
    deployed = Deployed(instance, model)
    deployed.post("deploy")
    deployed.stands(1)
    return deployed


def test_scaling_out_and_in_starts_loads_drains_and_stops_real_processes(
    deployed: Deployed,
) -> None:
    (first,) = deployed.stands(1)
    deployed.post("scale", replicas=4, concurrency=1)
    four = deployed.stands(4)
    pids = [row["pid"] for row in four]
    assert len(set(pids)) == 4
    assert not [pid for pid in [first["pid"]] if pid in pids], "another concurrency, new processes"
    assert set(pids) <= set(deployed.instance.pids())
    runs = deployed.start(8)
    deployed.post("scale", replicas=1)
    ended = [deployed.client.wait(run) for run in runs]
    assert {run["status"] for run in ended} == {"succeeded"}
    assert len(deployed.workers(runs)) >= 2
    (left,) = deployed.stands(1)
    wait_for(lambda: len(deployed.history("instance_stopped")) >= 4, 15, "the ends are told")
    wait_for(lambda: still_alive(pids) == [left["pid"]], 15, "the ends of the processes")
    assert deployed.history("instance_draining")[0]["reason"] == "1 are wanted"
    scaled = deployed.history("scaled")[0]
    assert (scaled["reason"], scaled["actor"]) == ("4 → 1 by hand", "Ana")


def test_over_the_cap_is_refused(deployed: Deployed) -> None:
    path = f"/agents/{deployed.agent['id']}/scale"
    refused = deployed.client.post(path, {"environment": "dev", "replicas": 5})
    assert refused.status_code == 422
    assert refused.json()["errors"][0] == {
        "field": "replicas",
        "code": "over_cap",
        "message": "5 replicas are over the cap of 4 (SPARKOPS_MAX_REPLICAS).",
    }


def test_a_killed_instance_is_replaced_and_its_step_goes_on(deployed: Deployed) -> None:
    (before,) = deployed.stands(1)
    (run,) = deployed.start(1, say="Go slowly")
    wait_for(lambda: deployed.client.steps(run)[0]["status"] == "running", 20, "the step to run")
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(lambda: deployed.history("instance_lost") != [], 10, "the loss to be noticed")
    assert "replaced at once" in deployed.history("instance_lost")[0]["reason"]
    (after,) = deployed.stands(1, 20)
    assert after["id"] != before["id"]
    assert deployed.client.wait(run, 30)["status"] == "succeeded"


def test_load_adds_instances_and_quiet_removes_them(deployed: Deployed) -> None:
    autoscale = {"cooldown_seconds": 2}
    deployed.post("scale", min=1, max=3, concurrency=1, autoscale=autoscale)
    deployed.stands(1)
    runs = deployed.start(12)
    wait_for(lambda: deployed.deployment()["replicas"] == 3, 15, "scaling out")
    for run in runs:
        assert deployed.client.wait(run, 40)["status"] == "succeeded"
    wait_for(lambda: deployed.deployment()["replicas"] == 1, 20, "scaling in")
    decided = deployed.history("autoscaled")
    assert decided[-1]["signal"]["queued"] + decided[-1]["signal"]["running"] > 0
    assert decided[0]["signal"]["before"] > decided[0]["signal"]["after"] == 1
    deployed.stands(1)


def test_a_new_version_is_rolled_out_and_rolled_back(deployed: Deployed) -> None:
    (before,) = deployed.stands(1)
    config = {**deployed.agent["config"], "instructions": "Be brief."}
    deployed.client.patch(f"/agents/{deployed.agent['id']}", {"config": config})
    assert deployed.post("deploy")["version"] == 2

    def is_live() -> bool:
        found = deployed.deployment()
        return found["live_version"] == 2 and found["phase"] == "available"

    wait_for(is_live, 20, "version 2")
    (after,) = deployed.stands(1)
    assert (after["version"], before["version"]) == (2, 1)
    assert deployed.post("rollback")["version"] == 1
    wait_for(lambda: deployed.deployment()["live_version"] == 1, 20, "version 1")


def test_the_ticker_finds_the_instances_it_left_and_the_end_leaves_nothing(
    deployed: Deployed,
) -> None:
    instance = deployed.instance
    (before,) = deployed.stands(1)
    ticker = instance.pid("ticker")
    os.kill(ticker, signal.SIGKILL)
    wait_for(lambda: instance.pid("ticker") not in (0, ticker), 15, "another ticker")
    deployed.post("scale", min=2, max=3)
    assert before["pid"] in [row["pid"] for row in deployed.stands(2, 40)]
    pids = instance.pids()
    assert instance.stop() < 15
    assert not still_alive(pids)

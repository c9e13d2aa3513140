"""Work goes on through what happens to processes under the supervisor."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from websockets.sync.client import connect

from controlplane.supervisor import folders
from controlplane.supervisor.postgres import address
from tests.platform.instance import Instance, still_alive
from tests.support.client import Client
from tests.support.servers import wait_for

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def instance(new_instance: Callable[..., Instance], prepared_data: Callable[[], Path]) -> Instance:
    return new_instance(prepared_data(), SPARKOPS_DEMO="off").start()


@pytest.fixture(scope="module")
def user(instance: Instance) -> Client:
    return Client(instance.url).register("Ana")


def sql(instance: Instance, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    url = address(folders.socket_dir(instance.data_dir))
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, parameters).fetchall()


def chain(*seconds: float) -> dict[str, Any]:
    nodes = [
        {"id": f"s{n}", "kind": "tool", "tool": "sleep", "arguments": {"seconds": each}}
        for n, each in enumerate(seconds)
    ]
    edges = [{"from": f"s{n}", "to": f"s{n + 1}"} for n in range(len(seconds) - 1)]
    return {"nodes": nodes, "edges": edges, "output": {}}


@pytest.fixture(scope="module")
def workflow(user: Client) -> dict[str, Any]:
    """Two steps: one that is over at once, one that takes 2 seconds."""
    user.make_tool("sleep", "sleep")
    return user.make_workflow("two-sleeps", chain(0, 2))


def status_of(user: Client, run: dict[str, Any], node: str) -> str:
    return next(step["status"] for step in user.steps(run["id"]) if step["node"] == node)


def test_a_step_whose_worker_is_killed_runs_again_at_once(
    instance: Instance, user: Client, workflow: dict[str, Any]
) -> None:
    run = user.start(workflow)
    wait_for(lambda: status_of(user, run, "s1") == "running", 15, "the second step")
    worker = instance.pid("worker-1")
    os.kill(worker, signal.SIGKILL)
    killed_at = time.monotonic()
    ended = user.wait(run["id"], 30)
    assert ended["status"] == "succeeded"
    assert time.monotonic() - killed_at < 20
    first, second = user.steps(run["id"])
    assert len(first["attempts"]) == 1
    assert second["status"] == "succeeded"
    assert sql(instance, "SELECT state FROM instance WHERE pid = %s", worker) == [("dead",)]


def test_a_run_survives_valkey_and_web_dying_in_the_middle(
    instance: Instance, user: Client, workflow: dict[str, Any]
) -> None:
    run = user.start(workflow)
    wait_for(lambda: status_of(user, run, "s1") == "running", 15, "the second step")
    os.kill(instance.pid("valkey"), signal.SIGKILL)
    os.kill(instance.pid("web"), signal.SIGKILL)
    wait_for(instance.is_ready, 20, "ready again")
    assert user.wait(run["id"], 30)["status"] == "succeeded"


def test_open_sockets_and_a_running_step_do_not_hold_up_the_end(
    quick: Callable[..., Instance],
) -> None:
    instance = quick().start()
    user = Client(instance.url).register("Ana")
    user.make_tool("sleep", "sleep")
    run = user.start(user.make_workflow("long", chain(120)))
    url = f"{instance.url.replace('http', 'ws')}/ws/activity?project={user.project}"
    with connect(url, subprotocols=["bearer", user.access], proxy=None) as socket:  # type: ignore[list-item]
        assert "ready" in str(socket.recv())
        wait_for(lambda: status_of(user, run, "s0") == "running", 15, "the step")
        pids = instance.pids()
        assert instance.stop() < 15
    assert not still_alive(pids)
    instance.start()
    wait_for(
        lambda: status_of(user.login(user.email), run, "s0") == "running", 20, "the step again"
    )


def test_the_first_request_after_postgres_was_killed_is_answered(
    instance: Instance, user: Client
) -> None:
    before = instance.pid("postgres")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: instance.pid("postgres") not in {0, before}, 15, "restart of PostgreSQL")
    wait_for(instance.is_ready, 20, "ready again")
    assert [user.get("/runs").status_code for _ in range(4)] == [200] * 4

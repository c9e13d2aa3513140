"""Workers that come by HTTP: the example of clients/python as a process, killed, drained, refused;
and a remote agent over a real socket."""

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from controlplane.supervisor.config import ROOT
from tests.support.servers import wait_for
from tests.support.stack import Stack

pytestmark = pytest.mark.platform
CLIENT = ROOT / "clients" / "python"


class Remote(ThreadingHTTPServer):
    """Somebody else's agent: answers each key once, and counts what it does at the same time."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.answers_after = threading.Event()
        super().__init__(("127.0.0.1", 0), RemoteHandler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class RemoteHandler(BaseHTTPRequestHandler):
    server: Remote

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append({**body, "key": self.headers["Idempotency-Key"]})
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        self.server.answers_after.wait(0.3)
        with self.server.lock:
            self.server.busy -= 1
        status = 503 if body["prompt"] == "busy" and len(self.server.seen) < 2 else 200
        usage = {"input_tokens": 3, "output_tokens": 4, "cost": "0.0005"}
        answer = orjson.dumps({"text": body["prompt"][::-1], "data": {"n": 1}, "usage": usage})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with Remote() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], remote: Remote) -> Stack:
    return make_stack(settings={"SPARKOPS_EGRESS_ALLOW": remote.address})


class Shop:
    """A project with a worker agent, a workflow that asks it, and worker processes."""

    def __init__(self, stack: Stack, **config: Any) -> None:
        self.client = client = stack.register("Ana")
        self.stack = stack
        self.processes: list[subprocess.Popen[bytes]] = []
        config = {"entrypoint": "upper", "lease_seconds": 5, **config}
        body = {"project": client.project, "slug": "upper", "name": "Upper", "kind": "worker"}
        self.agent = client.made("/agents", {**body, "config": config})["id"]
        key = {"project": client.project, "name": f"k{secrets.token_hex(3)}"}
        scopes = ["agents:write"]
        self.key = client.made("/api-keys", {**key, "scopes": scopes})
        nodes = [{"id": "ask", "kind": "agent", "agent": "upper", "prompt": "${input.say}"}]
        output = {"text": "${steps.ask.output.text}", "data": "${steps.ask.output.data}"}
        self.workflow = client.make_workflow("ask", {"nodes": nodes, "edges": [], "output": output})

    def deploy(self) -> None:
        self.client.made(f"/agents/{self.agent}/deploy", {"environment": "dev"})

    def worker(self) -> subprocess.Popen[bytes]:
        """The example, as a process."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {
            **kept,
            "PYTHONPATH": str(CLIENT),
            "SPARKOPS_URL": self.stack.url,
            "SPARKOPS_TOKEN": self.key["key"],
            "SPARKOPS_AGENT": self.agent,
        }
        script = CLIENT / "examples" / "upper.py"
        process = subprocess.Popen([sys.executable, str(script)], env=environment)
        self.processes.append(process)
        return process

    def live(self) -> list[dict[str, Any]]:
        rows = self.client.get("/instances", agent=self.agent).json()["results"]
        return [row for row in rows if row["state"] in ("ready", "busy", "draining")]

    def start(self, say: str) -> str:
        return str(self.client.start(self.workflow, {"say": say})["id"])

    def step(self, run: str) -> dict[str, Any]:
        return self.client.steps(run)[0]


@pytest.fixture
def shop(stack: Stack) -> Iterator[Shop]:
    shop = Shop(stack)
    yield shop
    for process in shop.processes:
        process.kill()
        process.wait(10)


def test_a_worker_process_does_the_work_of_its_agent(shop: Shop) -> None:
    body = {"workflow": shop.workflow["id"], "environment": "dev", "input": {"say": "hello"}}
    refused = shop.client.post("/runs", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_not_deployed")
    shop.deploy()
    run = shop.start("hello there")
    worker = shop.worker()
    ended = shop.client.wait(run, 30)
    assert ended["output"] == {"text": "HELLO THERE", "data": {"words": 2}}
    assert ended["output_tokens"] == 2
    lines = shop.client.get(f"/runs/{run}/logs").json()["results"]
    assert "Answering 11 characters" in [line["message"] for line in lines]
    failed = shop.client.wait(shop.start("fail no paper left"))
    assert (failed["status"], failed["error"]["code"]) == ("failed", "told_to_fail")
    assert "no paper left" in failed["error"]["message"]

    long = shop.start("sleep 1.5")
    wait_for(lambda: shop.step(long)["status"] == "running", 10, "the long task")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert shop.client.wait(long)["status"] == "succeeded", "work in hand ends before the worker"
    assert shop.live() == []
    health = shop.client.get(f"/agents/{shop.agent}/health").json()
    assert health["status"] == "unhealthy", health


def test_the_task_of_a_killed_worker_goes_to_another_and_is_not_ended_twice(shop: Shop) -> None:
    shop.deploy()
    first = shop.worker()
    wait_for(lambda: len(shop.live()) == 1, 20, "the worker")
    (instance,) = shop.live()
    run = shop.start("sleep 4")
    wait_for(lambda: shop.step(run)["status"] == "running", 10, "the task")
    [row] = shop.stack.sql("SELECT lease FROM step WHERE run_id = %s", [run])
    first.kill()
    shop.worker()
    assert shop.client.wait(run, 40)["status"] == "succeeded"
    attempts = shop.step(run)["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["crashed", "succeeded"]
    late = shop.client.post(f"/workers/{instance['id']}/leases/{row['lease']}/complete", {})
    assert (late.status_code, late.json()["code"]) == (409, "lease_lost")


def test_a_cancelled_run_takes_the_lease_away(shop: Shop) -> None:
    shop.deploy()
    shop.worker()
    run = shop.start("sleep 60")
    wait_for(lambda: shop.step(run)["status"] == "running", 20, "the task")
    shop.client.post(f"/runs/{run}/cancel")
    assert shop.client.wait(run, 15)["status"] == "cancelled"


def test_the_protocol_refuses_precisely(shop: Shop) -> None:
    ana = shop.client
    shop.deploy()
    register = {"agent": shop.agent, "environment": "dev", "name": "by hand"}
    not_there = ana.post("/workers/register", {**register, "environment": "staging"})
    assert not_there.json()["code"] == "agent_not_deployed"
    worker = ana.made("/workers/register", {**register, "capacity": 1})["id"]
    assert ana.made(f"/workers/{worker}/lease", {"max": 5}) == {"results": []}
    runs = [shop.start("one"), shop.start("two")]
    (task,) = ana.made(f"/workers/{worker}/lease", {"max": 5})["results"]
    assert (task["prompt"], task["agent"]["entrypoint"]) == ("one", "upper")
    assert ana.made(f"/workers/{worker}/heartbeat", {})["leases"] == [task["lease"]]
    assert ana.made(f"/workers/{worker}/lease", {}) == {"results": []}, "its capacity is one"
    lease = f"/workers/{worker}/leases/{task['lease']}"
    assert ana.made(f"{lease}/renew", {})["cancelled"] is False
    assert ana.post(f"{lease}/fail", {}).status_code == 422
    ana.made(f"{lease}/release", {})
    assert ana.post(f"{lease}/complete", {}).json()["code"] == "lease_lost"
    for _ in runs:
        (again,) = ana.made(f"/workers/{worker}/lease", {})["results"]
        assert again["attempt"] == 1, "given back is no attempt"
        ana.made(f"/workers/{worker}/leases/{again['lease']}/complete", {"text": "done"})
    assert {ana.wait(run)["status"] for run in runs} == {"succeeded"}
    bo = shop.stack.register("Bo")
    assert bo.post(f"/workers/{worker}/lease", {}).status_code == 404
    assert ana.delete(f"/workers/{worker}").status_code == 204
    assert ana.post(f"/workers/{worker}/heartbeat", {}).json()["code"] == "worker_stopped"


def test_a_lease_that_is_not_renewed_runs_out(shop: Shop) -> None:
    ana = shop.client
    shop.deploy()
    register = {"agent": shop.agent, "environment": "dev", "name": "idle", "capacity": 2}
    worker = ana.made("/workers/register", register)["id"]
    run = shop.start("slow")
    (task,) = ana.made(f"/workers/{worker}/lease", {})["results"]

    def is_back() -> bool:
        ana.made(f"/workers/{worker}/heartbeat", {})
        return shop.step(run)["status"] == "ready"

    wait_for(is_back, 20, "the lease to run out")
    (again,) = ana.made(f"/workers/{worker}/lease", {})["results"]
    assert again["lease"] != task["lease"]
    ana.made(f"/workers/{worker}/leases/{again['lease']}/complete", {"text": "late"})
    assert ana.wait(run)["status"] == "succeeded"


def test_a_remote_agent_is_called_through_its_cap(stack: Stack, remote: Remote) -> None:
    ana = stack.register("Ana")
    config = {"url": f"http://{remote.address}/agent", "max_concurrency": 2}
    body = {"project": ana.project, "slug": "far", "name": "Far", "kind": "remote"}
    agent = ana.made("/agents", {**body, "config": config})
    retry = {"max_attempts": 3, "backoff_seconds": 0.1}
    node = {"id": "ask", "kind": "agent", "agent": "far", "prompt": "${input.say}"}
    output = {"text": "${steps.ask.output.text}"}
    workflow = ana.make_workflow(
        "far", {"nodes": [{**node, "retry": retry}], "edges": [], "output": output}
    )
    busy = ana.wait(ana.start(workflow, {"say": "busy"})["id"])
    assert (busy["status"], busy["output"]) == ("succeeded", {"text": "ysub"})
    assert len({each["key"] for each in remote.seen}) == 1, "tried again under the same key"
    assert (busy["input_tokens"], busy["cost"]) == (3, "0.0005")
    ana.made(f"/agents/{agent['id']}/deploy", {"environment": "dev"})
    runs = [ana.start(workflow, {"say": f"n{n}"})["id"] for n in range(8)]
    assert {ana.wait(run, 40)["status"] for run in runs} == {"succeeded"}
    assert remote.most_busy <= 2
    checked = ana.made(f"/agents/{agent['id']}/check-connection", {})
    assert checked["ok"] is True
    assert checked["cost"] == "0.0005"

"""One run through real processes: API, worker, history, socket."""

import json
import time
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.contract


def until_ended(client: Client, run_id: str, seconds: float = 20) -> dict[str, Any]:
    """The run once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = client.get(f"/runs/{run_id}").json()
        if run["status"] in ("succeeded", "failed", "cancelled", "timed_out"):
            return run
        time.sleep(0.05)
    raise AssertionError(f"still {run['status']}: {run['explanation']}")


def test_a_run_of_two_steps_succeeds_and_tells_all_of_it(stack: Stack) -> None:
    ana = stack.register("Ana")
    tool = ana.post(
        "/tools",
        {
            "project": ana.project,
            "slug": "echo",
            "name": "Echo",
            "kind": "python",
            "config": {"function": "echo"},
            "effect_class": "read",
        },
    )
    assert tool.status_code == 201, tool.text
    workflow = ana.post(
        "/workflows",
        {
            "project": ana.project,
            "slug": "two",
            "name": "Two",
            "definition": {
                "nodes": [
                    {"id": "a", "kind": "tool", "tool": "echo", "arguments": {"x": "${input.x}"}},
                    {"id": "b", "kind": "transform", "set": {"y": "${steps.a.output.x + 1}"}},
                ],
                "edges": [{"from": "a", "to": "b"}],
                "output": {"y": "${steps.b.output.y}"},
            },
        },
    )
    assert workflow.status_code == 201, workflow.text
    released = ana.post(f"/workflows/{workflow.json()['id']}/publish", {})
    assert released.status_code == 201, released.text
    started = ana.post(
        "/runs",
        {
            "workflow": workflow.json()["id"],
            "environment": "dev",
            "input": {"x": 41},
        },
    )
    assert started.status_code == 201, started.text
    run = until_ended(ana, started.json()["id"])
    assert (run["status"], run["output"]) == ("succeeded", {"y": 42}), run
    with connect(
        f"{stack.ws_url}/ws/runs/{run['id']}?after=0", subprotocols=["bearer", ana.access]
    ) as socket:
        ready = json.loads(socket.recv(5))
        events = [json.loads(socket.recv(5)) for _ in range(ready["last_seq"])]
    assert [e["seq"] for e in events] == list(range(1, run["last_seq"] + 1))
    assert events[0]["type"] == "run.queued"
    assert events[-1]["type"] == "run.succeeded"

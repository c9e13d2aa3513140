"""Rate limits hold across worker processes; who waits holds nothing."""

import time

import pytest

from tests.engine.house import call, graph
from tests.support.client import Client
from tests.support.stack import Stack
from tests.tools.counter import Counter, most_in_a_window


def limited(tess: Client, counter: Counter, slug: str, **limit: object) -> None:
    """An HTTP tool with a limit."""
    tess.made(
        "/tools",
        {
            "project": tess.project,
            "slug": slug,
            "name": slug,
            "kind": "http",
            "config": {"url": f"http://{counter.address}/{tess.project}/{slug}"},
            "effect_class": "read",
            "rate_limit": limit,
        },
    )


def batch(tess: Client, workflow: dict, count: int) -> list[str]:
    """Start many runs at once; their ids."""
    one = {"workflow": workflow["id"], "environment": "dev", "input": {}}
    made = tess.made("/runs/batch", {"runs": [one] * count})["results"]
    return [result["run"]["id"] for result in made]


@pytest.mark.quiet
def test_two_workers_never_exceed_a_limit_over_any_second(
    tess: Client, counter: Counter, tool_stack: Stack
) -> None:
    limited(tess, counter, "ten", limit=10, per_seconds=1, when_limited="wait")
    once = tess.make_workflow("once", graph({"a": call("ten")}))
    runs = batch(tess, once, 45)
    seen_waiting = False
    for run in runs:
        steps = tess.steps(run)
        seen_waiting = seen_waiting or steps[0]["reason"] == "rate_limited"
    ended = [tess.wait(run, 60) for run in runs]
    assert {run["status"] for run in ended} == {"succeeded"}
    moments = counter.calls[f"/{tess.project}/ten"]
    assert len(moments) == 45
    assert most_in_a_window(moments, 1.0) <= 11
    # It is a limit, not a stop: the 45th of 10 a second is called within the fifth second or so.
    assert max(moments) - min(moments) < 30
    assert seen_waiting
    workers = tool_stack.sql(
        "SELECT count(DISTINCT worker_id) AS n FROM step WHERE run_id = ANY(%s::uuid[])", [runs]
    )
    assert workers[0]["n"] == 2
    # Waiting is no attempt, so that a retry is left for what fails.
    assert {step["attempt"] for run in runs[:5] for step in tess.steps(run)} == {1}


def test_a_waiting_step_says_why_and_can_be_cancelled(tess: Client, counter: Counter) -> None:
    limited(tess, counter, "slow", limit=1, per_seconds=600)
    once = tess.make_workflow("once", graph({"a": call("slow")}))
    runs = batch(tess, once, 2)
    until = time.monotonic() + 20
    statuses: dict[str, str] = {}
    while sorted(statuses.values()) != ["succeeded", "waiting"]:
        assert time.monotonic() < until, statuses
        statuses = {run: tess.run(run)["status"] for run in runs}
    waiting = next(run for run, status in statuses.items() if status == "waiting")
    assert "rate limit" in tess.run(waiting)["explanation"]
    assert tess.post(f"/runs/{waiting}/cancel").status_code == 202
    assert tess.wait(waiting)["status"] == "cancelled"
    assert len(counter.calls[f"/{tess.project}/slow"]) == 1


@pytest.mark.parametrize("function", ["echo", "sleep"])
def test_a_tool_that_refuses_says_when_there_is_room(tess: Client, function: str) -> None:
    limit = {"limit": 1, "per_seconds": 900, "when_limited": "refuse"}
    tess.make_tool("one", function, rate_limit=limit)
    once = tess.make_workflow("once", graph({"a": call("one", seconds=0)}))
    runs = [tess.wait(run) for run in batch(tess, once, 2)]
    assert sorted(run["status"] for run in runs) == ["failed", "succeeded"]
    failed = next(run for run in runs if run["status"] == "failed")
    assert failed["error"]["code"] == "rate_limited"
    assert "limited to 1 calls in 900 s" in failed["error"]["message"]
    # So does the console.
    tool = tess.get("/tools", project=tess.project).json()["results"][0]["id"]
    tried = tess.made(f"/tools/{tool}/test", {"arguments": {"seconds": 0}})
    assert tried["error"]["code"] == "rate_limited"

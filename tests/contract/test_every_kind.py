"""One run through every kind of step that needs no model, by the API alone."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.servers import wait_for

pytestmark = pytest.mark.contract


def step(kind: str, id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "kind": kind, **fields}


def edges(*pairs: str) -> list[dict[str, str]]:
    return [dict(zip(("from", "to"), pair.split(">"), strict=True)) for pair in pairs]


CHILD = {
    "input_schema": {"type": "object", "required": ["n"]},
    "nodes": [step("transform", "t", set={"double": "${input.n * 2}"})],
    "edges": [],
    "output": "${steps.t.output.double}",
}
ALL = {
    "nodes": [
        step("tool", "said", tool="echo", arguments={"list": "${input.list}"}),
        step(
            "map", "each", over="${steps.said.output.list}", max_concurrency=2,
            body={
                "nodes": [step("workflow", "twice", workflow="child", input={"n": "${item}"})],
                "edges": [],
                "output": {"at": "${index}", "is": "${steps.twice.output}"},
            },
        ),
        step(
            "loop", "count", **{"while": "index < 3"},
            body={
                "nodes": [step("transform", "add", set={"n": "${index}"})],
                "edges": [],
                "output": "${steps.add.output.n}",
            },
        ),
        step("decision", "which", cases=[{"when": "steps.count.output == 2", "to": "pause"}],
             default="never"),
        step("fail", "never", message="Three passes were counted as ${steps.count.output}"),
        step("wait", "pause", seconds=0.2),
        step("signal", "called", name="go"),
        step("form", "asked", title="How many?",
             schema={"type": "object", "required": ["many"],
                     "properties": {"many": {"type": "integer"}}}),
        step("approval", "allowed", title="Send it?"),
    ],
    "edges": edges("said>each", "each>count", "count>which", "which>pause", "which>never",
                   "pause>called", "called>asked", "asked>allowed"),
    "output": {
        "each": "${steps.each.output}", "called": "${steps.called.output.word}",
        "many": "${steps.asked.output.many}", "approved": "${steps.allowed.output.approved}",
    },
}  # fmt: skip


def waiting(eva: Client, run_id: str, node: str) -> dict[str, Any]:
    """The step once it waits."""
    found: dict[str, Any] = {}

    def is_waiting() -> bool:
        by_node = {each["node"]: each for each in eva.steps(run_id)}
        found.update(by_node.get(node, {}))
        return found.get("status") == "waiting"

    wait_for(is_waiting, 20, f"{node} to wait")
    return found


def test_a_run_goes_through_every_kind_of_step(stack_user: Client) -> None:
    eva = stack_user
    eva.make_tool("echo", "echo")
    eva.make_workflow("child", CHILD)
    run = eva.start(eva.make_workflow("all", ALL), {"list": [5, 6, 7]})
    waiting(eva, run["id"], "called")
    assert eva.post(f"/runs/{run['id']}/signals/go", {"word": "now"}).status_code == 202
    form = waiting(eva, run["id"], "asked")
    answer = f"/runs/{run['id']}/steps/{form['id']}/answer"
    assert eva.post(answer, {"many": "two"}).status_code == 422
    assert eva.post(answer, {"many": 2}).status_code == 200
    asked = waiting(eva, run["id"], "allowed")
    approval = f"/approvals/{asked['approval']}/approve"
    assert eva.post(approval, {"comment": "Yes"}).status_code == 200
    ended = eva.wait(run["id"])
    assert ended["status"] == "succeeded", ended["error"]
    assert ended["output"] == {
        "each": [{"at": at, "is": n * 2} for at, n in enumerate((5, 6, 7))],
        "called": "now",
        "many": 2,
        "approved": True,
    }
    steps = eva.steps(run["id"])
    assert {(each["path"], each["status"]) for each in steps if each["node"] == "twice"} == {
        (f"each[{n}]", "succeeded") for n in range(3)
    }
    assert next(each for each in steps if each["node"] == "never")["status"] == "skipped"
    children = eva.get("/runs", parent=run["id"]).json()["results"]
    assert {each["relation"] for each in children} == {"child"}
    assert len(children) == 3


def test_a_workflow_that_would_start_itself_is_refused_when_it_is_published(
    stack_user: Client,
) -> None:
    nodes = [step("workflow", "again", workflow="self", input={})]
    made = stack_user.make_workflow("self", {"nodes": nodes, "edges": []}, publish=False)
    refused = stack_user.post(f"/workflows/{made['id']}/publish", {})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "workflow_cycle"

"""Starting runs to the letter of the contract, against real processes."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.engine.house import graph
from tests.engine.shapes import NOBODY, PROBLEM, RUN, moment, problem
from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.contract


def test_a_start_answers_with_the_whole_run(eva: Client, workflow: dict[str, Any]) -> None:
    body = {
        "workflow": workflow["id"], "environment": "dev", "input": {"x": 1}, "version": None,
        "agent": None, "trigger": "manual", "tags": ["demo"], "priority": 3,
        "deadline_seconds": 3600,
    }  # fmt: skip
    answer = eva.post("/runs", body)
    assert answer.status_code == 201
    run = answer.json()
    assert set(run) >= RUN
    assert (run["project"], run["workflow"]) == (eva.project, workflow["id"])
    assert (run["workflow_version"], run["environment"], run["trigger"]) == (1, "dev", "manual")
    assert (run["status"], run["reason"], run["tags"], run["priority"]) == (
        "queued",
        "",
        ["demo"],
        3,
    )
    assert (run["parent"], run["relation"], run["output"], run["error"]) == (None,) * 4
    assert (run["cost"], run["currency"], run["input_tokens"]) == (None, "USD", 0)
    assert (run["started_at"], run["ended_at"], run["duration_ms"]) == (None,) * 3
    assert run["started_by"] == {"type": "user", "id": eva.user["id"], "name": "Eva"}
    assert run["explanation"].startswith("Queued")
    assert abs(moment(run["created_at"]) - datetime.now(UTC)) < timedelta(seconds=30)
    done = eva.wait(run["id"])
    assert (done["status"], done["output"], done["input"]) == ("succeeded", {"y": 2}, {"x": 1})
    assert done["created_at"] == run["created_at"]
    assert moment(done["started_at"]) <= moment(done["ended_at"])
    assert done["duration_ms"] >= 0
    assert done["explanation"] == "Finished."


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"workflow": None}, "workflow", "required"),
        ({"workflow": NOBODY}, "workflow", "does_not_exist"),
        ({"workflow": "nothing"}, "workflow", "does_not_exist"),
        ({"workflow": 7}, "workflow", "does_not_exist"),
        ({"environment": "moon"}, "environment", "does_not_exist"),
        ({"environment": ""}, "environment", "required"),
        ({"environment": ["dev"]}, "environment", None),
        ({"agent": NOBODY}, "agent", "does_not_exist"),
        ({"version": 99}, "version", "does_not_exist"),
        ({"version": "one"}, "version", None),
        ({"version": 0}, "version", None),
        ({"trigger": "schedule"}, "trigger", None),
        ({"tags": "demo"}, "tags", None),
        ({"tags": ["x" * 61]}, "tags", None),
        ({"tags": [1]}, "tags", None),
        ({"priority": 101}, "priority", None),
        ({"priority": 1.5}, "priority", None),
        ({"priority": True}, "priority", None),
        ({"deadline_seconds": 0}, "deadline_seconds", None),
        ({"deadline_seconds": "soon"}, "deadline_seconds", None),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"input": {}}, "input.x", "required"),
        ({"input": {"x": "one"}}, "input.x", "type"),
        ({"input": [1]}, "input", "type"),
        ({"input": None}, "input", "type"),
    ],
)
def test_what_is_wrong_with_a_start_is_named(
    one_eva: Client,
    settled: dict[str, Any],
    change: dict[str, Any],
    field: str,
    code: str | None,
) -> None:
    body = {"workflow": settled["id"], "environment": "dev", "input": {"x": 1}, **change}
    problem(one_eva.post("/runs", body), 422, code, field)
    assert one_eva.get("/runs", project=settled["project"]).json()["count"] == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b'{"input": NaN}', 400),
        (b'{"input": {"x": Infinity}}', 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 1, "t": "a\\u0000b"}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 1, "t": "\\ud800"}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "input": {"x": 36893488147419103232}}', 422),
        (b'{"workflow": "%s", "environment": "d\\u0000v", "input": {"x": 1}}', 422),
        (b'{"workflow": "%s", "environment": "dev", "tags": ["\\u0000"], "input": {"x": 1}}', 422),
    ],
)
def test_a_body_that_cannot_be_read_or_stored_is_refused(
    one_eva: Client, settled: dict[str, Any], raw: bytes, status: int
) -> None:
    content = raw.replace(b"%s", settled["id"].encode())
    answer = one_eva.http.post(
        "/runs", content=content, headers={"Content-Type": "application/json"}
    )
    problem(answer, status)


def test_an_input_over_one_megabyte_is_refused(eva: Client, workflow: dict[str, Any]) -> None:
    large = {"x": 1, "text": "y" * 1_048_577}
    answer = eva.post("/runs", {"workflow": workflow["id"], "environment": "dev", "input": large})
    problem(answer, 422, "too_large", "input")
    just = {"x": 1, "text": "y" * 1_000_000}
    run = eva.wait(eva.start(workflow, just)["id"])
    assert (run["status"], run["input"] == just) == ("succeeded", True)


def test_what_is_not_released_does_not_run(eva: Client) -> None:
    draft = eva.make_workflow("draft", graph({"a": {}}), publish=False)
    body = {"workflow": draft["id"], "environment": "dev"}
    problem(eva.post("/runs", body), 409, "not_released")
    problem(eva.post("/runs", {**body, "version": 1}), 409, "not_released")


def test_an_older_version_runs_when_asked_for(eva: Client) -> None:
    made = eva.make_workflow("versions", graph({"a": {}}, output={"v": 1}))
    second = {"definition": graph({"a": {}}, output={"v": 2})}
    changed = eva.patch(f"/workflows/{made['id']}", second)
    assert changed.status_code == 200, changed.text
    eva.made(f"/workflows/{made['id']}/publish", {})
    newest, oldest = eva.start(made), eva.start(made, version=1)
    assert (newest["workflow_version"], oldest["workflow_version"]) == (2, 1)
    assert eva.wait(oldest["id"])["output"] == {"v": 1}
    assert eva.wait(newest["id"])["output"] == {"v": 2}


def test_a_foreign_workflow_does_not_exist(
    stack: Stack, eva: Client, workflow: dict[str, Any]
) -> None:
    bo = stack.register("Bo")
    body = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    problem(bo.post("/runs", body), 422, "does_not_exist", "workflow")
    problem(stack.client().post("/runs", body), 401)


def test_one_key_starts_one_run(eva: Client, workflow: dict[str, Any]) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    first, again = eva.post("/runs", body, **key), eva.post("/runs", body, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = eva.post("/runs", {**body, "input": {"x": 2}}, **key)
    problem(other, 422, "idempotency_key_reused")
    problem(eva.post("/runs", body, **{"Idempotency-Key": "k" * 256}), 422)


def test_a_batch_answers_in_order_with_runs_and_problems(
    eva: Client, workflow: dict[str, Any]
) -> None:
    good = {"workflow": workflow["id"], "environment": "dev", "input": {"x": 1}}
    bodies = [good, {**good, "input": {}}, {**good, "environment": "moon"}, "no", good]
    answer = eva.post("/runs/batch", {"runs": bodies})
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [next(iter(r)) for r in results] == ["run", "problem", "problem", "problem", "run"]
    assert set(results[0]["run"]) >= RUN
    assert set(results[1]["problem"]) >= PROBLEM
    assert [r["problem"]["status"] for r in results[1:4]] == [422] * 3
    assert eva.wait(results[4]["run"]["id"])["status"] == "succeeded"
    for wrong in ({}, {"runs": []}, {"runs": "all"}, {"runs": [good] * 1_001}):
        problem(eva.post("/runs/batch", wrong), 422, field="runs")

"""What a tool says of calls in doubt: whom to ask, what undoes them, and what an answer means."""

import pytest

from tools import recovery
from tools.models import Tool

URL = "/api/v1/tools"
INVALID = "expression_invalid"
CHECK = {"tool": "status", "arguments": {"id": "${arguments.id}"}, "done": "output.paid"}


@pytest.fixture
def body(project, make_tool):
    make_tool(slug="status", config={"function": "echo"})
    post = {"method": "POST", "url": "https://host.test/"}
    make_tool(slug="risky", kind="http", config=post)
    return {
        "project": str(project.pk), "slug": "pay", "name": "Pay", "kind": "http",
        "config": post, "effect_class": "checkable",
    }  # fmt: skip


def faults(answer):
    assert answer.status_code == 422, answer.content
    return {(e["field"], e["code"]) for e in answer.json()["errors"]}


def test_a_check_and_an_undo_are_kept_with_every_key(api, body):
    given = {"effect_check": CHECK, "effect_undo": {"tool": "risky"}}
    found = api.post(URL, body | given).json()
    assert found["effect_check"] == {**CHECK, "not_done": None, "output": "${output}"}
    assert found["effect_undo"] == {"tool": "risky", "arguments": {}}
    tool = Tool.objects.get(slug="pay")
    assert (tool.effect_check, tool.effect_undo) == (found["effect_check"], found["effect_undo"])
    path = f"{URL}/{found['id']}"
    assert api.patch(path, {"effect_check": None}).json()["effect_check"] is None
    assert api.put(path, body).json()["effect_undo"] is None


def test_a_checkable_tool_needs_no_check(api, body):
    assert api.post(URL, body).json()["effect_check"] is None


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("effect_check", [], {("effect_check", "invalid")}),
        (
            "effect_check",
            {"ask": 1},
            {
                ("effect_check.ask", "unknown_field"),
                ("effect_check.tool", "required"),
                ("effect_check.done", "required"),
            },
        ),
        ("effect_check", {**CHECK, "tool": "nobody"}, {("effect_check.tool", "does_not_exist")}),
        ("effect_check", {**CHECK, "tool": "pay"}, {("effect_check.tool", "invalid")}),
        ("effect_check", {**CHECK, "tool": "risky"}, {("effect_check.tool", "not_read")}),
        ("effect_check", {**CHECK, "done": "output."}, {("effect_check.done", INVALID)}),
        ("effect_check", {**CHECK, "done": "steps.a"}, {("effect_check.done", "unknown_name")}),
        ("effect_check", {**CHECK, "done": True}, {("effect_check.done", INVALID)}),
        (
            "effect_check",
            {**CHECK, "arguments": {"id": "${output.id}"}},
            {("effect_check.arguments.id", "unknown_name")},
        ),
        ("effect_check", {**CHECK, "arguments": "x"}, {("effect_check.arguments", "invalid")}),
        ("effect_undo", {"tool": 7}, {("effect_undo.tool", "required")}),
        ("effect_undo", {"tool": "nobody"}, {("effect_undo.tool", "does_not_exist")}),
        ("effect_undo", {"tool": "risky", "done": "true"}, {("effect_undo.done", "unknown_field")}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(api, body, field, value, expected):
    assert faults(api.post(URL, body | {field: value})) == expected
    assert not Tool.objects.filter(slug="pay").exists()


def test_a_tool_that_others_name_is_in_use(api, body):
    made = api.post(URL, body | {"effect_check": CHECK, "effect_undo": {"tool": "risky"}}).json()
    status = Tool.objects.get(slug="status")
    used = api.get(f"{URL}/{status.pk}/users").json()
    assert [(user["kind"], user["id"]) for user in used] == [("tool", made["id"])]
    refused = api.delete(f"{URL}/{status.pk}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "the tool Pay" in refused.json()["detail"]
    assert api.delete(f"{URL}/{made['id']}").status_code == 204
    assert api.delete(f"{URL}/{status.pk}").status_code == 204


FAILED = {"code": "http_404", "message": "Not found.", "status": 404, "retryable": False}
BUSY = {**FAILED, "code": "http_503", "status": 503, "retryable": True}


@pytest.mark.parametrize(
    ("done", "not_done", "output", "error", "verdict", "may_change"),
    [
        ("output.paid", None, {"paid": True}, None, "done", False),
        ("output.paid", None, {"paid": False}, None, "not_done", False),
        ("output.paid", None, {}, None, "unknown", True),
        ("output.paid", None, {"paid": "yes"}, None, "unknown", True),
        ("output.paid", None, None, FAILED, "unknown", False),
        ("output.paid", None, None, BUSY, "unknown", True),
        ("output.paid", "error.status == 404", None, FAILED, "not_done", False),
        ("output.paid", "error.status == 404", None, BUSY, "unknown", True),
        ("output.s == 'ok'", "output.s == 'no'", {"s": "no"}, None, "not_done", False),
        ("output.s == 'ok'", "output.s == 'no'", {"s": "under way"}, None, "unknown", True),
        ("output.a", "output.a", {"a": True}, None, "unknown", False),
    ],
)
def test_what_an_answer_means(done, not_done, output, error, verdict, may_change):
    check = {"tool": "t", "done": done, "not_done": not_done, "output": "${output}"}
    found = recovery.read(check, arguments={}, key="k", output=output, error=error)
    assert (found.verdict, found.may_change) == (verdict, may_change)
    assert found.output == (output if verdict == "done" else None)
    assert bool(found.why) == (verdict == "unknown")

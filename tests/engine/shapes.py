"""Shapes of the contract, and builders the tests of routes share."""

from datetime import datetime
from typing import Any

from tests.engine.house import call, graph
from tests.support.client import Client
from tests.support.stack import Stack

RUN = {
    "id", "project", "workflow", "workflow_version", "environment", "trigger", "status", "reason",
    "explanation", "input", "output", "error", "tags", "priority", "parent", "relation",
    "started_by", "created_at", "started_at", "ended_at", "duration_ms", "input_tokens",
    "output_tokens", "cost", "currency", "last_seq",
}  # fmt: skip
STEP = {
    "id", "node", "path", "kind", "name", "status", "reason", "attempt", "input", "output", "error",
    "started_at", "ended_at", "duration_ms", "input_tokens", "output_tokens", "cost", "agent",
    "tool", "approval", "attempts", "calls",
}  # fmt: skip
PROBLEM = {"type", "title", "status", "detail", "code", "errors", "request_id"}
NOBODY = "01890000-0000-7000-8000-000000000000"


def problem(answer: Any, status: int, code: str | None = None, field: str | None = None) -> Any:
    """The answer is a problem of this kind; answers its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= PROBLEM
    assert body["status"] == status
    assert answer.headers["x-request-id"] == body["request_id"]
    if code is not None:
        assert code in {body["code"], *(e["code"] for e in body["errors"])}, body
    if field is not None:
        assert field in {e["field"] for e in body["errors"]}, body
    return body


def moment(text: str) -> datetime:
    """A time of the API: UTC ISO-8601."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def made_workflow(eva: Client) -> dict[str, Any]:
    """Two steps: an echo of `x`, then one more."""
    eva.make_tool("echo", "echo")
    definition = graph(
        {
            "a": {**call("echo", x="${input.x}"), "name": "Say it"},
            "b": {"kind": "transform", "set": {"y": "${steps.a.output.x + 1}"}},
        },
        "a>b",
        output={"y": "${steps.b.output.y}"},
        input_schema={
            "type": "object",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
        },
    )
    return eva.make_workflow("two", definition)


def member(stack: Stack, eva: Client, role: str) -> Client:
    """Somebody else with a role in her project."""
    other = stack.register(role.title())
    stack.sql(
        "INSERT INTO membership (id, project_id, user_id, role, created_at, updated_at)"
        " VALUES (gen_random_uuid(), %s, %s, %s, now(), now())",
        [eva.project, other.user["id"], role],
    )
    return other

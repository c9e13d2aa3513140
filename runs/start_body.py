"""The body of POST /runs, read by hand: it is the hottest door of the house, and a serializer with
its row lookups would cost more than the rest of the start."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from agents.models import Agent
from controlplane.kit.database import query
from controlplane.kit.errors import FieldProblem, InvalidInput
from controlplane.kit.ids import parse_uuid
from projects.models import Environment, Project
from runs import statements as sql
from runs.starting import CHILD_KEYS, StartRequest
from workflows.models import Workflow, WorkflowVersion

LONGEST_DEADLINE_SECONDS = 31_536_000
MOST_TAGS = 50
LONGEST_TAG = 60
# What was looked up for one request or one batch: (workflow id, environment name) → rows.
Seen = dict[Any, Any]


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _tags(value: Any) -> str | None:
    if not isinstance(value, list) or len(value) > MOST_TAGS:
        return f"Give a list of at most {MOST_TAGS} tags."
    if not all(isinstance(tag, str) and 0 < len(tag) <= LONGEST_TAG for tag in value):
        return f"A tag is text of 1 to {LONGEST_TAG} characters."
    return None


def _deadline(value: Any) -> str | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 1 <= value <= LONGEST_DEADLINE_SECONDS:
        return "Give seconds from 1 to a year, or null."
    return None


def _refuses(test: Callable[[Any], bool], message: str) -> Callable[[Any], str | None]:
    return lambda value: None if test(value) else message


# Field → (default, what is wrong with a value or None).
OPTIONAL: dict[str, tuple[Any, Callable[[Any], str | None]]] = {
    "input": ({}, lambda value: None),
    "version": (
        None,
        _refuses(lambda v: v is None or _is_whole(v, 1, 2**31 - 1), "Give a version's number."),
    ),
    "agent": (None, lambda value: None),
    "trigger": ("api", _refuses(lambda v: v in ("manual", "api"), "Give manual or api.")),
    "tags": ([], _tags),
    "priority": (0, _refuses(lambda v: _is_whole(v, -100, 100), "Give -100 to 100.")),
    "deadline_seconds": (None, _deadline),
}
REQUIRED = ("workflow", "environment")


def checked_key(key: str | None) -> str | None:
    """An Idempotency-Key as it may be stored; InvalidInput (422) for another."""
    if key is not None and not 0 < len(key) <= 255:
        raise InvalidInput.of("Idempotency-Key", "Use 1 to 255 characters.")
    if key is not None and key.startswith(CHILD_KEYS):
        raise InvalidInput.of("Idempotency-Key", f"Keys do not begin with {CHILD_KEYS}", "reserved")
    return key


def read_start(body: Any, user: Any, *, key: str | None, seen: Seen) -> StartRequest:
    """What runs.services.start takes; InvalidInput (422) names every wrong field."""
    if not isinstance(body, Mapping):
        raise InvalidInput("The body must be a JSON object.", code="not_an_object")
    key = checked_key(key)
    faults = [
        FieldProblem(str(name), "unknown_field", "Unknown field.")
        for name in body
        if name not in OPTIONAL and name not in REQUIRED
    ]
    faults += [
        FieldProblem(name, "required", "This field is required.")
        for name in REQUIRED
        if body.get(name) in (None, "")
    ]
    values = {}
    for name, (default, check) in OPTIONAL.items():
        values[name] = body.get(name, default)
        if name in body and (wrong := check(values[name])):
            faults.append(FieldProblem(name, "invalid", wrong))
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    workflow, environment = _target(body["workflow"], body["environment"], user, seen)
    values["agent"] = _agent(values["agent"], workflow, seen)
    return StartRequest(workflow=workflow, environment=environment, idempotency_key=key, **values)


def _target(workflow: Any, environment: Any, user: Any, seen: Seen) -> tuple[Workflow, Environment]:
    workflow_id = parse_uuid(workflow) if isinstance(workflow, str | UUID) else None
    if workflow_id is None:
        raise _absent("workflow", workflow)
    if not isinstance(environment, str):
        raise InvalidInput.of("environment", "Give an environment's name.")
    place = (workflow_id, environment)
    if place not in seen:
        params = {
            "workflow": workflow_id, "environment": environment,
            "projects": list(user.project_roles()),
        }  # fmt: skip
        seen[place] = query(sql.START_TARGET, params)
    if not seen[place]:
        raise _absent("workflow", workflow)
    found = _rows(seen[place][0])
    if found[1].pk is None:
        raise _absent("environment", environment)
    return found


def _rows(row: tuple[Any, ...]) -> tuple[Workflow, Environment]:
    """Rows of the ORM from one row of the question, with what a start reads of them."""
    (
        workflow_id, project_id, slug, name, status, released_id, head_id, project_name,
        project_status, project_frozen, number, state, environment_id, environment_name,
        protected, environment_frozen, limit, key, key_limit,
    ) = row  # fmt: skip
    project = Project(
        id=project_id, name=project_name, status=project_status, frozen_at=project_frozen
    )
    workflow = Workflow(
        id=workflow_id,
        project=project,
        slug=slug,
        name=name,
        status=status,
        head_id=head_id,
        concurrency_limit=limit,
        concurrency_key=key,
        concurrency_key_limit=key_limit,
    )
    if released_id is not None:
        # The definition stays unread: its graph is remembered by the version's id.
        workflow.released = WorkflowVersion.from_db(
            "default", ["id", "workflow_id", "number", "state"],
            [released_id, workflow_id, number, state],
        )  # fmt: skip
    environment = Environment(
        id=environment_id, project=project, name=environment_name or "",
        protected=bool(protected), frozen_at=environment_frozen,
    )  # fmt: skip
    return workflow, environment


def _agent(value: Any, workflow: Workflow, seen: Seen) -> Agent | None:
    if value is None:
        return None
    agent_id = parse_uuid(value) if isinstance(value, str | UUID) else None
    place = ("agent", agent_id, workflow.project_id)
    if agent_id is not None and place not in seen:
        rows = Agent.objects.filter(pk=agent_id, project_id=workflow.project_id, deleted_at=None)
        seen[place] = rows.first()
    if agent_id is None or seen[place] is None:
        raise _absent("agent", value)
    return seen[place]


def _absent(field: str, value: Any) -> InvalidInput:
    text = str(value)[:80]
    return InvalidInput.of(field, f"There is no {field} {text}.", "does_not_exist")

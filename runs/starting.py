"""Starting runs: what is checked, what is pinned, and the rows one commit writes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from agents.models import Agent
from controlplane.kit import gate, schemas
from controlplane.kit.database import query
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.events import activity_group, subject_group
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from governance.recorder import actor_facts
from projects import freezing
from projects.models import Environment
from runs import statements as sql
from runs.admission import HELD, key_of
from runs.models import Run
from runs.placing import step_row
from runs.states import StepStatus
from workflows.graph import Graph, Node, compile_cached
from workflows.models import Workflow, WorkflowVersion

LARGEST_INPUT_BYTES = 1024 * 1024
OPEN = (StepStatus.READY, StepStatus.PENDING, StepStatus.WAITING)
# What the idempotency keys of sub-workflows begin with; nobody else's may.
CHILD_KEYS = "child:"


@dataclass(slots=True)
class StartRequest:
    """What somebody asks to be run. `version` null means the newest released one."""

    workflow: Workflow
    environment: Environment
    input: Any = field(default_factory=dict)
    version: int | None = None
    agent: Agent | None = None
    trigger: str = "manual"
    tags: list[str] = field(default_factory=list)
    priority: int = 0
    deadline_seconds: float | None = None
    idempotency_key: str | None = None
    parent: Run | None = None
    relation: str | None = None
    simulated: bool = False
    # Of a sub-workflow: what the keys of its calls begin with, and how deep it is nested.
    root_id: UUID | None = None
    depth: int = 0

    def fingerprint(self) -> str:
        """What makes two requests the same, for the idempotency key."""
        text = dumps(
            [
                self.workflow.pk,
                self.environment.name,
                self.input,
                self.version,
                self.agent.pk if self.agent else None,
                self.trigger,
                self.tags,
                self.priority,
                self.deadline_seconds,
            ]
        )
        return hashlib.sha256(text).hexdigest()


@dataclass(slots=True)
class Rows:
    """What a start writes, ready for the one statement."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    queues: dict[str, int] = field(default_factory=dict)
    # Workflows whose runs may have to wait for one another.
    limited: set[UUID] = field(default_factory=set)

    def groups(self) -> list[str]:
        """The live groups to ring after commit."""
        found = {subject_group(run["id"]) for run in self.runs}
        return list(found | {activity_group(run["project"]) for run in self.runs})

    def write(self) -> dict[UUID, tuple[datetime, datetime | None]]:
        """Insert everything in one statement, in the running transaction or its own. Returns when
        each run was created and when it must have ended."""
        params = {
            name: dumps(getattr(self, name)).decode()
            for name in ("runs", "steps", "events", "audit")
        }
        return {run_id: (created, due) for run_id, created, due in query(sql.START, params)}


def resolve_version(request: StartRequest) -> WorkflowVersion:
    """The version to run: 409 `not_released` where there is none that may."""
    workflow = request.workflow
    if request.version is None:
        if request.trigger == "test":
            return workflow.head
        if workflow.released is None:
            raise DomainError(
                f"{workflow.name} has no released version yet; publish one.", code="not_released"
            )
        return workflow.released
    version = WorkflowVersion.objects.filter(workflow=workflow, number=request.version).first()
    if version is None:
        raise InvalidInput.of(
            "version", f"There is no version {request.version}.", "does_not_exist"
        )
    if version.state == WorkflowVersion.State.DRAFT and request.trigger != "test":
        raise DomainError(
            f"Version {version.number} is a draft; drafts run as tests only.", code="not_released"
        )
    return version


def check_input(graph: Graph, value: Any) -> None:
    """422 where the input is too large or does not fit the workflow's schema."""
    if len(dumps(value)) > LARGEST_INPUT_BYTES:
        raise InvalidInput.of("input", "The input is larger than 1 MB.", "too_large")
    if faults := schemas.faults(graph.input_schema, value, "input"):
        raise InvalidInput(faults[0].message, errors=faults)


def add_run(
    rows: Rows,
    request: StartRequest,
    version: WorkflowVersion,
    graph: Graph,
    pins: dict[str, Any],
    actor: Any,
    carried: Mapping[str, Mapping[str, Any]] | None = None,
) -> Run:
    """Append one run's rows. `carried` holds ended steps of an earlier run, by node, that are kept
    instead of being done again. Returns the run as it will stand."""
    run_id, who = uuid7(), actor_facts(actor)
    steps = [
        _step_row(run_id, node, graph, pins, request, (carried or {}).get(node.id))
        for node in graph.nodes.values()
    ]
    _count_carried(graph, steps, carried or {})
    key = key_of(request.workflow, request.input)
    if key is not None:
        rows.limited.add(request.workflow.pk)
        for step in steps:
            if step["status"] == StepStatus.READY:
                step["status"] = StepStatus.WAITING
    ready = [s for s in steps if s["status"] == StepStatus.READY]
    is_open = [s for s in steps if s["status"] in OPEN]
    project_id = request.workflow.project_id
    data = {
        "status": "queued",
        "workflow": request.workflow.pk,
        "version": version.number,
        "trigger": request.trigger,
    }
    rows.events.append(_event(run_id, project_id, 1, "run.queued", None, data))
    for seq, step in enumerate(ready, start=2):
        event = _event(run_id, project_id, seq, "step.ready", step["id"], {"node": step["node"]})
        rows.events.append(event)
        rows.queues[step["queue"]] = rows.queues.get(step["queue"], 0) + 1
    parent = request.parent
    rows.steps += steps
    rows.runs.append(
        {
            "id": run_id,
            "project": project_id,
            "workflow": request.workflow.pk,
            "version": version.pk,
            "environment": request.environment.pk,
            "trigger": request.trigger,
            "input": request.input,
            "pins": pins,
            "tags": request.tags,
            "priority": request.priority,
            "parent": parent.pk if parent else None,
            "relation": request.relation,
            "root": request.root_id or (parent.root_id if parent else run_id),
            "by_type": who["type"],
            "by_id": who["id"],
            "by_name": str(who["name"])[:120],
            "simulated": request.simulated,
            "key": request.idempotency_key,
            "sha": request.fingerprint() if request.idempotency_key else "",
            "deadline": request.deadline_seconds,
            "open": len(is_open),
            "busy": len(ready),
            "events": 1 + len(ready),
            "reason": "" if key is None else HELD,
            "ckey": key,
        }
    )
    after = {
        "workflow": request.workflow.slug,
        "version": version.number,
        "environment": request.environment.name,
        "trigger": request.trigger,
    }
    rows.audit.append(
        {
            "id": run_id,
            "project": project_id,
            "by_type": who["type"],
            "by_id": who["id"],
            "by_name": str(who["name"])[:120],
            "action": "run.started",
            "name": request.workflow.name,
            "after": after,
            "request": structlog.contextvars.get_contextvars().get("request_id", ""),
        }
    )
    return Run(
        id=run_id,
        project_id=project_id,
        workflow=request.workflow,
        workflow_version=version,
        environment=request.environment,
        trigger=request.trigger,
        input=request.input,
        pins=pins,
        tags=request.tags,
        priority=request.priority,
        parent=parent,
        relation=request.relation,
        root_id=rows.runs[-1]["root"],
        started_by_type=who["type"],
        started_by_id=who["id"],
        started_by_name=rows.runs[-1]["by_name"],
        simulated=request.simulated,
        idempotency_key=request.idempotency_key,
        reason=rows.runs[-1]["reason"],
        open_steps=len(is_open),
        busy_steps=len(ready),
        last_seq=1 + len(ready),
    )


def _event(
    run_id: UUID, project_id: UUID, seq: int, event_type: str, step_id: UUID | None, data: Any
) -> dict[str, Any]:
    return {
        "s": run_id,
        "p": project_id,
        "n": seq,
        "t": event_type,
        "st": step_id,
        "d": data,
        "a": event_type.startswith("run."),
    }


def _step_row(
    run_id: UUID,
    node: Node,
    graph: Graph,
    pins: dict[str, Any],
    request: StartRequest,
    carried: Mapping[str, Any] | None,
) -> dict[str, Any]:
    row = step_row(node, graph, run_id=run_id, pins=pins, priority=request.priority)
    kept = carried or {"output": None, "started_at": None, "ended_at": None}
    row.update({k: kept[k] for k in ("status", "output", "started_at", "ended_at") if k in kept})
    return row


def _count_carried(
    graph: Graph, steps: list[dict[str, Any]], carried: Mapping[str, Mapping[str, Any]]
) -> None:
    """Edges out of kept steps are decided already."""
    by_node = {s["node"]: s for s in steps}
    for node_id, kept in carried.items():
        for edge, taken in zip(graph.out[node_id], kept["edges"], strict=True):
            target = by_node[edge.target]
            if edge.target not in carried:
                target["left"] -= 1
                target["taken"] += taken
    for step in steps:
        if step["node"] in carried or step["status"] != StepStatus.PENDING:
            continue
        joins_any = graph.nodes[step["node"]].join == "any"
        if step["taken"] and (step["left"] == 0 or joins_any):
            step["status"] = StepStatus.READY


def ask_gate(request: StartRequest, version: WorkflowVersion) -> gate.Verdict:
    """The policy's word on the start; 409 `policy_denied` where it forbids."""
    verdict = gate.check(
        "run.start",
        {
            "project_id": request.workflow.project_id,
            "workflow": request.workflow.slug,
            "workflow_id": request.workflow.pk,
            "version": version.number,
            "environment": request.environment.name,
            "trigger": request.trigger,
            "input": request.input,
            "tags": request.tags,
        },
    )
    if verdict.outcome == "deny":
        raise DomainError(verdict.reason, code=verdict.code or "policy_denied")
    return verdict


def graph_of(version: WorkflowVersion) -> Graph:
    """The compiled graph of a version."""
    return compile_cached(version.pk, lambda: version.definition)


def refuse_frozen(request: StartRequest) -> None:
    """409 `frozen` while the project or the environment is frozen."""
    freezing.refuse_frozen(request.workflow.project, request.environment)

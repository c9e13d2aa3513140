"""Starting runs: what is checked, what is pinned, and the rows one commit writes."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from agents.models import Agent, Deployment
from controlplane.kit import gate, schemas
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.events import activity_group, subject_group
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from governance.recorder import actor_facts
from projects.models import Environment
from runs import statements as sql
from runs.models import Run
from runs.states import StepStatus
from tools.kinds import kind as tool_kind
from tools.models import Tool, ToolVersion
from workflows.graph import Graph, Node, compile_cached
from workflows.models import Workflow, WorkflowVersion

LARGEST_INPUT_BYTES = 1024 * 1024
SHARED_QUEUE = "shared"
# Kinds of step that wait for others while they work.
IO_KINDS = {"agent"}


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
class Pins:
    """The versions a run will use, by slug, with what its step rows need to know of them."""

    tools: dict[str, ToolVersion]
    agents: dict[str, Agent]
    queues: dict[UUID, str]

    def as_json(self) -> dict[str, Any]:
        """The `pins` column."""
        return {
            "tools": {slug: str(v.pk) for slug, v in self.tools.items()},
            "agents": {slug: str(self.agent_version(a)) for slug, a in self.agents.items()},
        }

    @staticmethod
    def agent_version(agent: Agent) -> UUID | None:
        """The version that will work."""
        return agent.current_id


@dataclass(slots=True)
class Rows:
    """What a start writes, ready for the one statement."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    queues: dict[str, int] = field(default_factory=dict)

    def groups(self) -> list[str]:
        """The live groups to ring after commit."""
        found = {subject_group(run["id"]) for run in self.runs}
        return list(found | {activity_group(run["project"]) for run in self.runs})

    def write(self) -> None:
        """Insert everything in one statement, in the running transaction or its own."""
        params = {
            name: dumps(getattr(self, name)).decode()
            for name in ("runs", "steps", "events", "audit")
        }
        with connection.cursor() as cursor:
            cursor.execute(sql.START, params)


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


def pin(request: StartRequest, graph: Graph) -> Pins:
    """Fix the version of every tool and agent of the graph; 409 where one is gone or may not work
    in the environment."""
    nodes = list(_all_nodes(graph))
    tool_slugs = {n.fields["tool"] for n in nodes if n.kind == "tool"}
    agent_slugs = {n.fields["agent"] for n in nodes if n.kind == "agent"}
    project_id = request.workflow.project_id
    agents: dict[str, Agent] = {}
    if agent_slugs:
        if request.agent is not None:
            agents = dict.fromkeys(agent_slugs, request.agent)
        else:
            agents = _agents(project_id, agent_slugs)
    for agent in agents.values():
        tool_slugs.update(agent.current.config.get("tools") or ())
    tools = _tools(project_id, tool_slugs)
    return Pins(tools, agents, _deployment_queues(request.environment, agents.values()))


def _tools(project_id: UUID, slugs: set[str]) -> dict[str, ToolVersion]:
    if not slugs:
        return {}
    rows = Tool.objects.filter(project_id=project_id, slug__in=slugs, deleted_at=None)
    found = {t.slug: t for t in rows.select_related("current")}
    for slug in slugs:
        tool = found.get(slug)
        if tool is None or tool.current is None:
            raise DomainError(f"The tool {slug} does not exist any more.", code="tool_missing")
        if tool.status == Tool.Status.INACTIVE:
            raise DomainError(f"The tool {slug} is inactive.", code="tool_inactive")
        tool.current.tool = tool
    return {slug: tool.current for slug, tool in found.items()}


def _agents(project_id: UUID, slugs: set[str]) -> dict[str, Agent]:
    rows = Agent.objects.filter(project_id=project_id, slug__in=slugs, deleted_at=None)
    found = {a.slug: a for a in rows.select_related("current")}
    for slug in slugs:
        agent = found.get(slug)
        if agent is None or agent.current_id is None:
            raise DomainError(f"The agent {slug} does not exist any more.", code="agent_missing")
        if agent.status in (Agent.Status.DISABLED, Agent.Status.RETIRED):
            raise DomainError(f"The agent {slug} is {agent.status}.", code="agent_disabled")
    return found


def _deployment_queues(environment: Environment, agents: Iterable[Agent]) -> dict[UUID, str]:
    """Agent id → queue of its deployment here. Undeployed agents run in the shared pool, except in
    a protected environment, where the start is refused."""
    agents = list(agents)
    if not agents:
        return {}
    rows = Deployment.objects.filter(environment=environment, agent__in=agents).exclude(
        phase__in=(Deployment.Phase.RETIRED, Deployment.Phase.PAUSED)
    )
    queues = {d.agent_id: f"deployment.{d.pk}" for d in rows}
    if environment.protected and (bare := [a for a in agents if a.pk not in queues]):
        raise DomainError(
            f"{bare[0].name} is not deployed to {environment.name}, which is protected.",
            code="agent_not_deployed",
        )
    return queues


def _all_nodes(graph: Graph) -> Iterable[Node]:
    for node in graph.nodes.values():
        yield node
        if node.body is not None:
            yield from _all_nodes(node.body)


def add_run(
    rows: Rows,
    request: StartRequest,
    version: WorkflowVersion,
    graph: Graph,
    pins: Pins,
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
    ready = [s for s in steps if s["status"] == StepStatus.READY]
    is_open = [s for s in steps if s["status"] in (StepStatus.READY, StepStatus.PENDING)]
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
            "pins": pins.as_json(),
            "tags": request.tags,
            "priority": request.priority,
            "parent": parent.pk if parent else None,
            "relation": request.relation,
            "root": parent.root_id if parent else run_id,
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
        pins=rows.runs[-1]["pins"],
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
    pins: Pins,
    request: StartRequest,
    carried: Mapping[str, Any] | None,
) -> dict[str, Any]:
    queue, pool, tool_id, agent_id = SHARED_QUEUE, "cpu", None, None
    if node.kind == "tool":
        version = pins.tools[node.fields["tool"]]
        tool_id = version.tool_id
        pool = "io" if tool_kind(version.tool.kind).pool(version.config) == "io" else "cpu"
    elif node.kind == "agent":
        agent_id, pool = pins.agents[node.fields["agent"]].pk, "io"
        queue = pins.queues.get(agent_id, SHARED_QUEUE)
    incoming = len(graph.into[node.id])
    row = {
        "id": uuid7(),
        "run": run_id,
        "node": node.id,
        "position": node.index,
        "kind": node.kind,
        "name": node.name or node.id,
        "left": incoming,
        "taken": 0,
        "queue": queue,
        "pool": pool,
        "priority": request.priority,
        "agent": agent_id,
        "tool": tool_id,
        "status": StepStatus.READY if incoming == 0 else StepStatus.PENDING,
        "output": None,
        "started_at": None,
        "ended_at": None,
    }
    if carried is not None:
        row.update({k: carried[k] for k in ("status", "output", "started_at", "ended_at")})
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
    project = request.workflow.project
    if project.frozen_at is not None or request.environment.frozen_at is not None:
        where = project.name if project.frozen_at else request.environment.name
        raise DomainError(f"{where} is frozen; no run starts until it is thawed.", code="frozen")

"""Workers that come by HTTP: they register for a deployment, say that they live, lease steps, and
say how these ended. The same statements and the same lease tokens as the engine's own workers: a
step whose lease is lost is another's, and nothing its former holder says changes it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
from django.db import transaction
from psycopg_pool import ConnectionPool

from agents import instances
from agents.models import Agent, Deployment, Instance, Kind
from agents.spec import AgentSpec
from controlplane.kit import audit, schemas
from controlplane.kit.database import conninfo
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.events import announce, subject_group
from controlplane.kit.json import dumps
from controlplane.kit.queue import ring
from projects.models import Environment
from runs import release
from runs import statements as sql
from runs.admission import admit
from runs.dispatch import Claimed, Dispatcher
from runs.facts import Facts
from runs.lifecycle import read_rows
from runs.logs import log_line
from runs.placing import graph_at
from runs.reading import agent_of
from runs.rows import Ended, StepRow
from runs.store import decide, wake_parent
from runs.work import Done, StepFailed, StepWork, failed, succeeded

logger = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 2
MOST_LEASES = 50
LOST = "This lease is over: the step was given to another, cancelled, or has ended."

_LEASED = """
SELECT s.id, s.run_id, s.path, s.node, s.lease, s.attempt, s.crash_count, s.pool, s.state,
  extract(epoch FROM clock_timestamp() - s.leased_at)::float AS held_seconds
FROM step s WHERE s.worker_id = %s AND s.lease = %s
"""
_EXTEND = """
UPDATE step SET wake_at = clock_timestamp() + %s * interval '1 s'
WHERE worker_id = %s AND lease = ANY(%s) RETURNING lease, wake_at
"""


@cache
def _pool() -> ConnectionPool:
    """Few connections, opened when the first worker comes."""
    return ConnectionPool(
        conninfo(by_key=True), min_size=0, max_size=4, open=True, kwargs={"autocommit": True}
    )


class _Nobody:
    """What steps say of themselves while they are here only for a moment."""

    def log(self, step: StepWork, level: str, message: str, data: Any) -> None:
        """Nothing is said here."""


class _NoSlots:
    """Steps that become ready are for others."""

    def __call__(self, step: StepRow) -> bool:
        """Never."""
        return False

    def give_back(self, step: StepRow) -> None:
        """Nothing was taken."""


@dataclass(frozen=True, slots=True)
class Task:
    """A leased step as its worker is told of it."""

    lease: UUID
    step: StepWork
    spec: AgentSpec
    prompt: str
    expires_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        step, spec = self.step, self.spec
        return {
            "lease": self.lease,
            "expires_at": self.expires_at,
            "run": step.run.id,
            "step": step.id,
            "attempt": step.attempt,
            "environment": step.run.environment,
            "agent": {
                "id": spec.agent_id,
                "slug": spec.slug,
                "version": spec.number,
                "entrypoint": spec.config.get("entrypoint", ""),
            },
            "prompt": self.prompt,
            "output_schema": _schema(step, spec),
            "timeout_seconds": _timeout(step, spec),
            "simulated": step.run.simulated,
        }


# --- workers


@transaction.atomic
def register(
    agent: Agent,
    environment: Environment,
    *,
    name: str,
    capacity: int,
    about: Mapping[str, Any],
    actor: Any,
) -> Instance:
    """A worker comes. 409 `wrong_kind`, `agent_disabled`, `agent_not_deployed`."""
    if agent.kind != Kind.WORKER:
        message = f"{agent.name} is a {agent.kind} agent; workers register for worker agents."
        raise DomainError(message, code="wrong_kind")
    if agent.status in (Agent.Status.DISABLED, Agent.Status.RETIRED):
        raise DomainError(f"{agent.name} is {agent.status}.", code="agent_disabled")
    rows = Deployment.objects.filter(agent=agent, environment=environment)
    rows = rows.exclude(phase__in=Deployment.IDLE).select_related("target_version", "environment")
    found = rows.first()
    if found is None:
        message = f"{agent.name} is not deployed to {environment.name}; deploy it first."
        raise DomainError(message, code="agent_not_deployed")
    found.agent = agent
    worker = instances.welcome(found, name=name, capacity=capacity, about=about)
    rows.update(explanation="Workers of the operator do its work.")
    audit.record(
        "instance.registered",
        actor=actor,
        project_id=agent.project_id,
        target=agent,
        after={"instance": str(worker.pk), "name": name, "environment": environment.name},
    )
    return worker


def beat(worker: Instance, *, rss_bytes: int = 0, cpu_percent: float = 0) -> dict[str, Any]:
    """A worker lives: {state, drain, leases, cancelled}. 409 `worker_stopped` where it said goodbye
    or was taken out of service; then it registers anew."""
    with _pool().connection() as conn:
        held = read_rows(conn, sql.HELD_BY_WORKER, [worker.pk])
    is_known = instances.beat(
        worker.pk, in_flight=len(held), rss_bytes=rss_bytes, cpu_percent=cpu_percent
    )
    if not is_known:
        raise DomainError("This worker has ended; register again.", code="worker_stopped")
    worker.refresh_from_db()
    is_draining = worker.state == Instance.State.DRAINING
    return {
        "state": worker.state,
        "drain": is_draining,
        "leases": [row["lease"] for row in held],
        "cancelled": [row["lease"] for row in held if row["is_ending"]],
    }


def leave(worker: Instance) -> None:
    """A worker goes: what it still holds is given back at once."""
    with _pool().connection() as conn:
        release.give_back(conn, worker.pk, "released")
    instances.stop(worker.pk)


# --- leases


def lease(worker: Instance, most: int) -> list[Task]:
    """Up to so many ready steps for a worker, within its capacity. Steps that cannot even be told
    (an expression that fails) end here."""
    if worker.state not in (Instance.State.READY, Instance.State.BUSY):
        if worker.state in (Instance.State.STOPPED, Instance.State.DEAD):
            raise DomainError("This worker has ended; register again.", code="worker_stopped")
        return []
    with _pool().connection() as conn:
        held = len(read_rows(conn, sql.HELD_BY_WORKER, [worker.pk]))
        free = min(most, worker.capacity - held, MOST_LEASES)
        if free <= 0:
            return []
        facts = Facts()
        dispatcher = Dispatcher(facts, worker.pk, worker.queue)
        claimed, _ = dispatcher.claim(conn, {"cpu": 0, "io": free, "inline": 0})
        tasks = []
        for each in claimed:
            step = _step(conn, facts, each)
            try:
                tasks.append(_task(conn, worker.pk, step))
            except Exception as exc:
                _end(conn, dispatcher, failed(step, exc))
    return tasks


def _task(conn: psycopg.Connection, worker_id: UUID, step: StepWork) -> Task:
    spec = _spec(step)
    prompt = step.render("prompt")
    if not isinstance(prompt, str):
        prompt = "" if prompt is None else dumps(prompt).decode()
    expires_at = _extend(conn, worker_id, step, spec)
    if expires_at is None:
        raise StepFailed("The lease was lost at once.", code="lease_lost")
    return Task(step.lease, step, spec, prompt, expires_at)


def renew(worker: Instance, token: UUID) -> dict[str, Any]:
    """The lease holds on: {expires_at, cancelled}. 409 `lease_lost`; 409 `timeout` where the step
    took longer than it may, and so has failed."""
    with _pool().connection() as conn:
        dispatcher, step, seconds = _held(conn, worker, token)
        spec = _spec(step)
        limit = _timeout(step, spec)
        if limit is not None and seconds > limit:
            _end(conn, dispatcher, failed(step, TimeoutError()))
            raise DomainError("The step took longer than it may.", code="timeout")
        expires_at = _extend(conn, worker.pk, step, spec)
        rows = read_rows(conn, sql.HELD_BY_WORKER, [worker.pk])
    if expires_at is None:
        raise DomainError(LOST, code="lease_lost")
    stopping = {row["lease"] for row in rows if row["is_ending"]}
    return {"expires_at": expires_at, "cancelled": token in stopping}


def report(worker: Instance, token: UUID, level: str, message: str, data: Any) -> None:
    """One line of the run's log."""
    with _pool().connection() as conn:
        _, step, _ = _held(conn, worker, token)
        line = log_line(step.run.id, step.id, level, message, data)
        conn.execute(sql.WRITE_LOGS, [dumps([{**line, "nth": 0}]).decode()])
    announce([subject_group(step.run.id)])


def complete(worker: Instance, token: UUID, result: Mapping[str, Any]) -> None:
    """The step is done: {text, data, input_tokens, output_tokens, cost}. 422 where the data does
    not fit the schema that was asked for: then the lease still holds."""
    with _pool().connection() as conn:
        dispatcher, step, _ = _held(conn, worker, token)
        spec = _spec(step)
        schema = _schema(step, spec)
        if schema and (faults := schemas.faults(schema, result.get("data"), "data")):
            raise InvalidInput(faults[0].message, errors=faults)
        cost = result.get("cost")
        done = Done(
            output={"text": result.get("text", ""), "data": result.get("data"), "turns": 1},
            input=_input(step, spec),
            input_tokens=result.get("input_tokens", 0),
            output_tokens=result.get("output_tokens", 0),
            cost=None if cost is None else Decimal(cost),
        )
        _end(conn, dispatcher, succeeded(step, done))


def fail(worker: Instance, token: UUID, told: Mapping[str, Any]) -> None:
    """The step's work did not succeed: {message, code, retryable, retry_after}."""
    failure = StepFailed(
        told["message"],
        code=told["code"],
        is_retryable=told["retryable"],
        retry_after_seconds=told.get("retry_after"),
    )
    with _pool().connection() as conn:
        dispatcher, step, _ = _held(conn, worker, token)
        step.spent = Done(input=_input(step, _spec(step)))
        _end(conn, dispatcher, failed(step, failure))


def give_back(worker: Instance, token: UUID) -> None:
    """The step goes to another worker, as if it had never been leased."""
    with _pool().connection() as conn:
        _, step, _ = _held(conn, worker, token)
        release.give_back(conn, worker.pk, "released", [step.id])


# --- how a step is put together again


def _held(
    conn: psycopg.Connection, worker: Instance, token: UUID
) -> tuple[Dispatcher, StepWork, float]:
    """(the worker's dispatcher, the step, the seconds it has been held)."""
    rows = read_rows(conn, _LEASED, [worker.pk, token])
    if not rows:
        raise DomainError(LOST, code="lease_lost")
    row = rows[0]
    seconds = row.pop("held_seconds")
    facts = Facts()
    step = _step(conn, facts, Claimed(**row))
    return Dispatcher(facts, worker.pk, worker.queue), step, seconds


def _step(conn: psycopg.Connection, facts: Facts, c: Claimed) -> StepWork:
    run = facts.run(conn, c.run_id)
    graph = graph_at(facts.graph_of(conn, c.run_id), c.path)
    node = graph.nodes[c.node]
    context = facts.context(conn, c.run_id, c.path, node.references)
    return StepWork(
        id=c.id,
        run=run,
        graph=graph,
        node=node,
        path=c.path,
        lease=c.lease,
        attempt=c.attempt,
        crash_count=c.crash_count,
        pool=c.pool,
        context=context,
        worker=_Nobody(),
        state=c.state or {},
    )


def _spec(step: StepWork) -> AgentSpec:
    return agent_of(step.run.pins["agents"][step.node.fields["agent"]]["version"])


def _schema(step: StepWork, spec: AgentSpec) -> Any:
    return step.node.fields.get("output_schema") or spec.output_schema


def _timeout(step: StepWork, spec: AgentSpec) -> float | None:
    return step.node.timeout_seconds or spec.config.get("timeout_seconds")


def _input(step: StepWork, spec: AgentSpec) -> dict[str, Any]:
    prompt = step.render("prompt")
    return {"prompt": prompt, "agent": spec.slug, "version": spec.number}


def _extend(
    conn: psycopg.Connection, worker_id: UUID, step: StepWork, spec: AgentSpec
) -> datetime | None:
    """Until when the lease holds now; None where it is lost."""
    seconds = spec.config.get("lease_seconds") or 30
    rows = read_rows(conn, _EXTEND, [seconds, worker_id, [step.lease]])
    return rows[0]["wake_at"] if rows else None


def _end(conn: psycopg.Connection, dispatcher: Dispatcher, ended: Ended | None) -> None:
    """Write how a step ended and what follows, as the engine does; then tell."""
    if ended is None:
        return
    outcome = dispatcher.complete(conn, [ended], _NoSlots())
    announce(outcome.groups, is_urgent=outcome.is_urgent)
    for queue_name, times in outcome.ring.items():
        ring("wake", queue_name, times=min(times, 8))
    for late in outcome.undecided:
        release.tell(*decide(conn, dispatcher.facts, late.run_id))
    for run_id in outcome.ended_children:
        release.tell(*wake_parent(conn, run_id))
    for workflow_id in outcome.freed:
        with conn.transaction():
            heard = admit(conn, workflow_id)
        release.tell(*heard)

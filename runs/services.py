"""The verbs of runs. Each is one transaction: rows, events and audit row together; doorbells ring
after commit. Permission is asked at the door."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import psycopg
from django.db import IntegrityError, connection, transaction

from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidInput, InvalidTransition
from controlplane.kit.events import announce
from controlplane.kit.json import dumps
from controlplane.kit.queue import ring
from projects import freezing
from projects.models import Environment, Project
from runs import statements as sql
from runs.admission import admit_now
from runs.advance import settle_ending
from runs.carrying import agent_override, carried, key_bases
from runs.lifecycle import Ledger
from runs.models import Effect, Run, Step
from runs.pinning import pin
from runs.questions import take_back_on_commit
from runs.release import tell
from runs.rows import LockedRun
from runs.starting import (
    Rows,
    StartRequest,
    add_run,
    ask_gate,
    check_input,
    graph_of,
    refuse_frozen,
    resolve_version,
)
from runs.states import Relation, RunStatus, StepStatus
from runs.tasks import private_queue
from workflows.graph import Graph
from workflows.models import WorkflowVersion

LONGEST_SIGNAL_NAME = 100


def start(request: StartRequest, *, actor: Any) -> tuple[Run, bool]:
    """Start one run. Returns it, and False where its idempotency key has started it before."""
    if request.idempotency_key and (run := _started_before(request)):
        return run, False
    rows = Rows()
    run = _prepare(rows, request, actor, {})
    try:
        # One statement is one transaction; inside another it needs a savepoint to fail alone.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            written = rows.write()
    except IntegrityError as exc:
        constraint = getattr(getattr(exc.__cause__, "diag", None), "constraint_name", "")
        if constraint != "run_idempotency_key" or (old := _started_before(request)) is None:
            raise
        return old, False
    run.created_at, run.deadline_at = written[run.pk]
    _tell_start(rows)
    return run, True


def start_batch(
    requests: Iterable[StartRequest | DomainError], *, actor: Any
) -> list[Run | DomainError]:
    """Start many runs in one commit; each answer is a run or why it was refused, in order."""
    rows = Rows()
    answers: list[Run | DomainError] = []
    known: dict[Any, dict[str, Any]] = {}
    for request in requests:
        try:
            if isinstance(request, DomainError):
                raise request
            answers.append(_prepare(rows, request, actor, known))
        except DomainError as exc:
            answers.append(exc)
    written = rows.write() if rows.runs else {}
    for run in answers:
        if isinstance(run, Run):
            run.created_at, run.deadline_at = written[run.pk]
    _tell_start(rows)
    return answers


def _prepare(
    rows: Rows, request: StartRequest, actor: Any, known: dict[Any, dict[str, Any]]
) -> Run:
    """Check everything and add the rows of one run. `known` keeps the pins of a batch."""
    refuse_frozen(request)
    version = resolve_version(request)
    graph = graph_of(version)
    check_input(graph, request.input)
    ask_gate(request, version)
    key = (version.pk, request.environment.pk, request.agent and request.agent.pk)
    if key not in known:
        known[key] = _pins(request, graph)
    return add_run(rows, request, version, graph, known[key], actor)


def _pins(request: StartRequest, graph: Graph) -> dict[str, Any]:
    pins = pin(
        graph,
        project_id=request.workflow.project_id,
        environment=request.environment,
        agent_id=request.agent and request.agent.pk,
    )
    return {**pins, "depth": request.depth} if request.depth else pins


def _started_before(request: StartRequest) -> Run | None:
    found = Run.objects.filter(
        project_id=request.workflow.project_id, idempotency_key=request.idempotency_key
    ).first()
    if found is not None and found.request_sha256 != request.fingerprint():
        raise InvalidInput(
            "This idempotency key was used for another request.", code="idempotency_key_reused"
        )
    return found and Run.objects.for_list().get(pk=found.pk)


def _tell_start(rows: Rows) -> None:
    """After commit: as `_tell`; and the first of the runs that are held back are let in."""
    _tell(rows.groups(), rows.queues)
    for workflow_id in rows.limited:
        transaction.on_commit(lambda workflow_id=workflow_id: tell(*admit_now(workflow_id)))


def _tell(groups: list[str], queues: Mapping[str, int], *, is_urgent: bool = False) -> None:
    """After commit: wake workers at once and readers soon, who then hear of the work as well."""

    def after_commit() -> None:
        for queue_name, count in queues.items():
            ring("wake", queue_name, times=min(count, 8))
        if groups:
            announce(groups, is_urgent=is_urgent)

    transaction.on_commit(after_commit)


# Verbs on a run


def _raw() -> psycopg.Connection:
    """Django's own connection as psycopg knows it, inside the running transaction."""
    connection.ensure_connection()
    return connection.connection


def change(run_id: UUID, verb: Callable[[Ledger, LockedRun], set[str] | None]) -> None:
    """Lock a run, let `verb` say what happens, write it. `verb` may name queues to ring."""
    with transaction.atomic():
        conn = _raw()
        ledger = Ledger(conn)
        locked = ledger.lock([run_id], wait=True)
        if not locked:
            raise DomainError("The run is gone.", code="not_found", status=404)
        queues = verb(ledger, locked[0]) or set()
        settle_ending(ledger, locked[0])
        ledger.write()
        _tell(ledger.groups(), dict.fromkeys(queues, 1), is_urgent=True)


def cancel(run: Run, *, actor: Any, reason: str = "") -> Run:
    """Stop a run: nothing new starts from this moment; what runs is told to stop. 409 where the run
    has ended; cancelling twice changes nothing."""
    workers: list[UUID] = []

    def verb(ledger: Ledger, locked: LockedRun) -> None:
        if locked.is_terminal:
            raise InvalidTransition(
                f"The run has {_ended_as(locked.status)} already.", code="run_ended"
            )
        if locked.end_status:
            return
        error = {"code": "cancelled", "message": reason} if reason else None
        ledger.begin_end(locked, RunStatus.CANCELLED, "cancelled", error)
        workers.extend(row[0] for row in ledger.conn.execute(sql.RUNNING_WORKERS, [locked.id]))
        audit.record(
            "run.cancelled",
            actor=actor,
            project_id=locked.project_id,
            target=run,
            after={"reason": reason},
        )

    change(run.pk, verb)
    take_back_on_commit(run.pk)
    for worker_id in workers:
        ring("look", private_queue(worker_id))
    return Run.objects.for_list().get(pk=run.pk)


def pause(run: Run, *, actor: Any) -> Run:
    """Start nothing new; what runs, finishes. Timers and the deadline go on."""

    def verb(ledger: Ledger, locked: LockedRun) -> None:
        if locked.status == RunStatus.PAUSED and locked.reason != "frozen":
            return
        if locked.is_terminal or locked.end_status:
            raise InvalidTransition("Only a live run can be paused.", code="not_pausable")
        locked.status = RunStatus.PAUSED
        if locked.reason == "frozen":
            # It stays paused when it is thawed.
            locked.reason = ""
        ledger.event(locked, "run.paused", data={"status": "paused"})
        audit.record("run.paused", actor=actor, project_id=locked.project_id, target=run)

    change(run.pk, verb)
    return Run.objects.for_list().get(pk=run.pk)


def resume(run: Run, *, actor: Any) -> Run:
    """Go on after a pause."""

    def verb(ledger: Ledger, locked: LockedRun) -> set[str] | None:
        if locked.status != RunStatus.PAUSED:
            raise InvalidTransition("The run is not paused.", code="not_paused")
        refuse_frozen_run(run)
        has_begun = Run.objects.filter(pk=run.pk, started_at__isnull=False).exists()
        locked.status = RunStatus.RUNNING if has_begun else RunStatus.QUEUED
        ledger.event(locked, "run.resumed", data={"status": locked.status})
        audit.record("run.resumed", actor=actor, project_id=locked.project_id, target=run)
        ready = Step.objects.filter(run_id=locked.id, status=StepStatus.READY)
        return set(ready.values_list("queue", flat=True))

    change(run.pk, verb)
    return Run.objects.for_list().get(pk=run.pk)


def refuse_frozen_run(run: Run) -> None:
    """409 `frozen` while the project or the environment of a run is."""
    freezing.refuse_frozen(
        Project.objects.get(pk=run.project_id), Environment.objects.get(pk=run.environment_id)
    )


def retry(
    run: Run,
    *,
    actor: Any,
    start_from: str = "failed",
    input: Any = None,
    idempotency_key: str | None = None,
) -> tuple[Run, bool]:
    """A run that goes on from the failed steps, from a node, or from the start (then with another
    input if given). Outputs of kept steps are copied and cost nothing again. Returns it, and False
    where it was there before: by its key, or because the same retry has not ended yet."""
    if not run.is_terminal:
        raise InvalidTransition("The run has not ended; cancel it or wait.", code="not_terminal")
    if input is not None and start_from != "start":
        raise InvalidInput.of("input", "The input can be edited only from the start.")
    return _go_on_from(run, actor, Relation.RETRY, start_from, input, idempotency_key)


def fork(
    run: Run,
    *,
    actor: Any,
    start_from: str,
    input: Any = None,
    idempotency_key: str | None = None,
) -> tuple[Run, bool]:
    """Another run from a step of this one (or from the start), with another input if given. What
    has ended and does not lie behind that step is copied and costs nothing again; calls of the
    others get keys of their own. Returns it, and False where it was there before, as `retry`."""
    return _go_on_from(run, actor, Relation.FORK, start_from, input, idempotency_key)


def _go_on_from(
    run: Run, actor: Any, relation: Relation, start_from: str, input: Any, key: str | None
) -> tuple[Run, bool]:
    if "cleared" in run.pins and (start_from != "start" or input is None):
        raise DomainError(
            "What went in and out of this run was removed by the project's rule; give an input and "
            "do it again from the start.",
            code="payloads_gone",
        )
    request = StartRequest(
        workflow=run.workflow,
        environment=run.environment,
        input=run.input if input is None else input,
        agent=agent_override(run.pins),
        trigger=run.trigger,
        tags=run.tags,
        priority=run.priority,
        idempotency_key=key,
        parent=run,
        relation=relation,
        simulated=run.simulated,
    )
    fingerprint = _fingerprint(relation, run, start_from, request.input)
    rows = Rows()
    with transaction.atomic():
        # One retry at a time decides whether it is the first.
        Run.objects.select_for_update(no_key=True).only("pk").get(pk=run.pk)
        if (known := _retried_before(run, fingerprint, key)) is not None:
            return known, False
        _refuse_unresolved(run)
        version = WorkflowVersion.objects.get(pk=run.workflow_version_id)
        graph = graph_of(version)
        refuse_frozen(request)
        check_input(graph, request.input)
        ask_gate(request, version)
        kept = carried(run, graph, start_from)
        pins = _pins(request, graph)
        pins["keys"] = key_bases(run, graph, kept, is_fork=relation == Relation.FORK)
        new = add_run(rows, request, version, graph, pins, actor, kept)
        rows.runs[-1]["sha"] = fingerprint
        rows.write()
        audit.record(
            "run.forked" if relation == Relation.FORK else "run.retried",
            actor=actor,
            project_id=run.project_id,
            target=run,
            after={"from": start_from, "new_run": str(new.pk)},
        )
        _tell_start(rows)
    return Run.objects.for_list().get(pk=new.pk), True


def _fingerprint(relation: Relation, run: Run, start_from: str, input: Any) -> str:
    return hashlib.sha256(dumps([relation, run.pk, start_from, input])).hexdigest()


def _retried_before(run: Run, fingerprint: str, key: str | None) -> Run | None:
    runs = Run.objects.for_list().filter(project_id=run.project_id)
    if key is None:
        same = runs.filter(parent=run, request_sha256=fingerprint, idempotency_key=None)
        return same.alive_states().first()
    found = runs.filter(idempotency_key=key).first()
    if found is not None and found.request_sha256 != fingerprint:
        raise InvalidInput(
            "This idempotency key was used for another request.", code="idempotency_key_reused"
        )
    return found


def _refuse_unresolved(run: Run) -> None:
    if Effect.objects.filter(run=run, state=Effect.State.UNKNOWN).exists():
        raise DomainError(
            "A call of this run may or may not have happened; resolve it first.",
            code="unresolved_effect",
        )


def _ended_as(status: str) -> str:
    return {"timed_out": "timed out", "cancelled": "been cancelled"}.get(status, status)

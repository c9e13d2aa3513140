"""The only writer of a run's and a step's status outside runs.dispatch: a ledger of one transaction.

Callers lock runs, say what happened, and flush: steps, runs, events and calls leave as a handful of
set-based statements, whatever their number. Lock order: runs by id, then steps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import args_row, dict_row

from controlplane.kit.events import activity_group, is_activity, subject_group
from controlplane.kit.json import dumps
from runs import statements as sql
from runs.states import RUN_TERMINAL, RunStatus, StepStatus


@dataclass(slots=True)
class LockedRun:
    """A run whose row this transaction holds, with what will be written to it."""

    id: UUID
    project_id: UUID
    workflow_id: UUID
    version_id: UUID
    status: str
    end_status: str
    reason: str
    last_seq: int
    open_steps: int
    busy_steps: int
    priority: int
    output: Any = None
    error: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0
    is_touched: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in RUN_TERMINAL


@dataclass(slots=True)
class StepRow:
    """What deciding needs of a step."""

    id: UUID
    run_id: UUID
    path: str
    node: str
    status: str
    deps_left: int
    deps_taken: int
    queue: str
    pool: str
    kind: str
    attempt: int
    lease: UUID | None = None
    worker_id: UUID | None = None


@dataclass(slots=True)
class Ended:
    """How one step ended: its result, the outcome of each outgoing edge, and what it used."""

    step_id: UUID
    run_id: UUID
    path: str
    node: str
    lease: UUID
    status: str
    reason: str = ""
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    edges: tuple[bool, ...] = ()
    is_fatal: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    # A failed attempt that will be repeated: milliseconds to wait.
    retry_in_ms: int | None = None
    attempt: int = 1


class Ledger:
    """What one transaction will write. Not shared between threads."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.runs: dict[UUID, LockedRun] = {}
        self.became_ready: list[StepRow] = []
        self._progress: dict[UUID, StepRow] = {}
        self._ends: list[dict[str, Any]] = []
        self._retries: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._calls: dict[str, list[dict[str, Any]]] = {"tool": [], "model": []}

    # Locking

    def ask_lock(self, run_ids: Iterable[UUID], *, wait: bool = False) -> None:
        """Send the lock of runs, in key order; without `wait`, busy ones are left out."""
        statement = sql.LOCK_RUNS if wait else sql.LOCK_FREE_RUNS
        self._locking = self.conn.cursor(row_factory=args_row(LockedRun))
        self._locking.execute(statement, [sorted(run_ids)])

    def take_lock(self) -> list[LockedRun]:
        """The runs that were locked."""
        got = self._locking.fetchall()
        self._locking.close()
        self.runs.update((run.id, run) for run in got)
        return got

    def lock(self, run_ids: Iterable[UUID], *, wait: bool = False) -> list[LockedRun]:
        """Lock runs and return those that were got."""
        self.ask_lock(run_ids, wait=wait)
        return self.take_lock()

    # What happened

    def event(
        self, run: LockedRun, event_type: str, step_id: UUID | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """One more event of a run, numbered under its lock."""
        run.last_seq += 1
        run.is_touched = True
        self._events.append(
            {"s": run.id, "n": run.last_seq, "p": run.project_id, "t": event_type, "st": step_id,
             "d": data or {}, "a": is_activity(event_type)}
        )

    def end_step(self, run: LockedRun, ended: Ended) -> None:
        """A step ended, or failed an attempt that will be repeated."""
        run.is_touched = True
        run.busy_steps -= 1
        self._account(run, ended)
        if ended.status == StepStatus.WAITING:
            self._ends.append(_end_row(ended, undecided=False))
            data = {"node": ended.node, "reason": ended.reason}
            self.event(run, "step.waiting", ended.step_id, data)
            return
        if ended.retry_in_ms is not None:
            self._retries.append(_retry_row(ended))
            data = {"node": ended.node, "attempt": ended.attempt, "error": ended.error,
                    "retry_in_ms": ended.retry_in_ms}
            self.event(run, "step.retrying", ended.step_id, data)
            return
        self._ends.append(_end_row(ended, undecided=False))
        self._count_end(run, ended)

    def note_end(self, run: LockedRun, ended: Ended) -> None:
        """A step whose end is written already is decided now."""
        run.is_touched = True
        run.busy_steps -= 1
        self._account(run, ended)
        self._count_end(run, ended)

    def _count_end(self, run: LockedRun, ended: Ended) -> None:
        run.open_steps -= 1
        data: dict[str, Any] = {"node": ended.node, "status": ended.status}
        if ended.error:
            data["error"] = ended.error
        self.event(run, f"step.{ended.status}", ended.step_id, data)

    def end_step_unlocked(self, ended: Ended) -> None:
        """A step ended while another holds its run: written now, decided right after."""
        self._ends.append(_end_row(ended, undecided=True))
        for call in ended.calls:
            self._calls[call["kind"]].append(call)

    def _account(self, run: LockedRun, ended: Ended) -> None:
        run.input_tokens += ended.input_tokens
        run.output_tokens += ended.output_tokens
        run.unpriced_calls += ended.unpriced_calls
        if ended.cost is not None:
            run.cost = (run.cost or Decimal(0)) + ended.cost
        for call in ended.calls:
            self._calls[call["kind"]].append(call)
            self.event(run, f"{call['kind']}.called", ended.step_id, call["event"])

    def make_ready(self, run: LockedRun, step: StepRow) -> None:
        """A step may start; the engine may still take it in this same transaction."""
        step.status = StepStatus.READY
        run.busy_steps += 1
        self._progress[step.id] = step
        self.became_ready.append(step)

    def take(self, step: StepRow, *, lease: UUID, worker_id: UUID) -> None:
        """Start a step that became ready in this transaction, for this worker."""
        step.status, step.lease, step.worker_id = StepStatus.RUNNING, lease, worker_id
        step.attempt += 1

    def count_edge(self, step: StepRow) -> None:
        """A pending step learned of a decided edge."""
        self._progress[step.id] = step

    def skip(self, run: LockedRun, step: StepRow) -> None:
        """No edge into this step was taken."""
        step.status = StepStatus.SKIPPED
        run.open_steps -= 1
        self._progress[step.id] = step
        self.event(run, "step.skipped", step.id, {"node": step.node})

    def begin_end(self, run: LockedRun, end_status: str, reason: str, error: Any = None) -> None:
        """The run will end as `end_status`: what is not running is cancelled now, what runs is told
        to stop; a second reason does not replace the first."""
        run.is_touched = True
        if not run.end_status:
            run.end_status, run.reason, run.error = end_status, reason, error
        self._flush_steps()
        with self.conn.cursor() as cursor:
            rows = cursor.execute(sql.CANCEL_OPEN_STEPS, [reason, run.id]).fetchall()
        for step_id, node in rows:
            self.event(run, "step.cancelled", step_id, {"node": node, "reason": reason})
        run.open_steps -= len(rows)
        run.busy_steps = run.open_steps
        self.became_ready = [s for s in self.became_ready if s.run_id != run.id]
        if run.open_steps > 0 and run.status != RunStatus.CANCELLING:
            run.status = RunStatus.CANCELLING
            self.event(run, "run.cancelling", data={"reason": run.reason})

    def end_run(self, run: LockedRun, status: str, reason: str = "", *, output: Any = None,
                error: Any = None) -> None:
        """The run has its one outcome."""
        if run.is_terminal:
            return
        run.status, run.reason, run.is_touched = status, reason, True
        run.output = output
        run.error = error if error is not None else run.error
        data = {"status": status, "workflow": run.workflow_id, "reason": reason}
        if run.error:
            data["error"] = run.error
        self.event(run, f"run.{status}", data=data)

    # Writing

    def flush(self) -> None:
        """Write everything; the caller commits and then rings `groups()`."""
        for step in self.became_ready:
            run = self.runs[step.run_id]
            if step.status == StepStatus.RUNNING:
                data = {"node": step.node, "attempt": step.attempt}
                self.event(run, "step.started", step.id, data)
            else:
                self.event(run, "step.ready", step.id, {"node": step.node})
        for run in self.runs.values():
            self._settle(run)
        self._flush_steps()
        touched = [r for r in self.runs.values() if r.is_touched]
        with self.conn.cursor() as cursor:
            if touched:
                cursor.execute(sql.WRITE_RUNS, [_json([_run_row(r) for r in touched])])
            if self._events:
                cursor.execute(sql.WRITE_EVENTS, [_json(self._events)])
            if self._calls["tool"]:
                cursor.execute(sql.WRITE_TOOL_CALLS, [_json(self._rows("tool"))])
            if self._calls["model"]:
                cursor.execute(sql.WRITE_MODEL_CALLS, [_json(self._rows("model"))])

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        return [call["row"] for call in self._calls[kind]]

    def _settle(self, run: LockedRun) -> None:
        """Running and waiting follow from what is left to do."""
        if run.is_terminal or not run.is_touched:
            return
        if run.status == RunStatus.RUNNING and run.open_steps > 0 and run.busy_steps == 0:
            run.status = RunStatus.WAITING
            self.event(run, "run.waiting", data={"status": run.status})
        elif run.status == RunStatus.WAITING and run.busy_steps > 0:
            run.status = RunStatus.RUNNING
            self.event(run, "run.resumed", data={"status": run.status})

    def _flush_steps(self) -> None:
        with self.conn.cursor() as cursor:
            if self._ends:
                cursor.execute(sql.END_STEPS, [_json(self._ends)])
            if self._retries:
                cursor.execute(sql.RETRY_STEPS, [_json(self._retries)])
            if self._progress:
                rows = [_progress_row(s) for s in self._progress.values()]
                cursor.execute(sql.PROGRESS_STEPS, [_json(rows)])
        self._ends, self._retries, self._progress = [], [], {}

    def groups(self) -> list[str]:
        """The live groups to ring after commit."""
        found = set()
        for event in self._events:
            found.add(subject_group(event["s"]))
            if event["a"]:
                found.add(activity_group(event["p"]))
        return list(found)


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return dumps(rows).decode()


def _end_row(ended: Ended, *, undecided: bool) -> dict[str, Any]:
    return {
        "id": ended.step_id, "lease": ended.lease, "status": ended.status, "reason": ended.reason,
        "input": ended.input, "output": ended.output, "error": ended.error,
        "edges": list(ended.edges), "fatal": ended.is_fatal,
        "it": ended.input_tokens, "ot": ended.output_tokens, "cost": ended.cost,
        "un": ended.unpriced_calls, "undecided": undecided,
    }


def _retry_row(ended: Ended) -> dict[str, Any]:
    return {
        "id": ended.step_id, "lease": ended.lease, "error": ended.error, "input": ended.input,
        "ms": ended.retry_in_ms, "it": ended.input_tokens, "ot": ended.output_tokens,
        "cost": ended.cost, "un": ended.unpriced_calls,
    }


def _progress_row(step: StepRow) -> dict[str, Any]:
    return {
        "id": step.id, "status": step.status, "left": step.deps_left, "taken": step.deps_taken,
        "lease": step.lease, "worker": step.worker_id, "attempt": step.attempt,
    }


def _run_row(run: LockedRun) -> dict[str, Any]:
    return {
        "id": run.id, "status": run.status, "end": run.end_status, "reason": run.reason,
        "seq": run.last_seq, "open": run.open_steps, "busy": run.busy_steps,
        "output": run.output, "error": run.error, "it": run.input_tokens, "ot": run.output_tokens,
        "cost": run.cost, "un": run.unpriced_calls, "ended": run.is_terminal,
    }


def read_rows(conn: psycopg.Connection, statement: str, params: Sequence[Any]) -> list[dict]:
    """Rows as dicts."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()


Loader = Callable[[UUID, str, Sequence[str]], list[StepRow]]

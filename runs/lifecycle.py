"""The only writer of a run's and a step's status outside runs.dispatch: a transaction's ledger.

Callers say what happened to runs they have locked, or whose state they know (`see`), and write:
steps, runs, events and calls leave as one set-based statement, guarded by each run's last seq.
Lock order: runs by id, then steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import args_row, dict_row

from controlplane.kit.database import cursor_of
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
    # The last_seq the run was seen with; None until something is written.
    was: int | None = None
    output: Any = None
    error: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in RUN_TERMINAL

    def touch(self) -> None:
        """Something of it will be written."""
        if self.was is None:
            self.was = self.last_seq

    def written(self) -> "LockedRun":
        """The run as it stands after it was written, for the next decision."""
        return replace(
            self,
            was=None,
            output=None,
            error=None,
            input_tokens=0,
            output_tokens=0,
            cost=None,
            unpriced_calls=0,
        )


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
    # A step that waits: until when at the longest, what it keeps meanwhile, whom it asks.
    wake_at: datetime | None = None
    state: dict[str, Any] | None = None
    approval_id: UUID | None = None
    approval: dict[str, Any] | None = None
    # A declared call is open, and nobody knows whether it happened.
    is_in_doubt: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the step has ended for good: nothing is repeated or waited for."""
        return self.retry_in_ms is None and self.status != StepStatus.WAITING

    @property
    def needs_lock(self) -> bool:
        """Whether more is written, or must be known, than the one guarded statement can: a step is
        cancelled only in a run whose end has begun elsewhere."""
        return self.is_fatal or self.is_in_doubt or self.status == StepStatus.CANCELLED


class Ledger:
    """What one transaction will write. Not shared between threads.

    `is_locked`: the runs are locked by this transaction, so that what must be written in between
    (the cancelling of open steps) may be.
    """

    def __init__(self, conn: psycopg.Connection, *, is_locked: bool = True) -> None:
        self.conn = conn
        self.is_locked = is_locked
        self.runs: dict[UUID, LockedRun] = {}
        self.became_ready: list[StepRow] = []
        self._progress: dict[UUID, StepRow] = {}
        self._ends: list[dict[str, Any]] = []
        self._retries: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._calls: dict[str, list[dict[str, Any]]] = {"tool": [], "model": []}
        self._doubted: list[UUID] = []

    # Runs

    def lock(self, run_ids: Iterable[UUID], *, wait: bool = False) -> list[LockedRun]:
        """Lock runs in key order; without `wait`, busy ones are left out."""
        statement = sql.LOCK_RUNS if wait else sql.LOCK_FREE_RUNS
        with cursor_of(self.conn, args_row(LockedRun)) as cursor:
            got = cursor.execute(statement, [sorted(run_ids)]).fetchall()
        self.runs.update((run.id, run) for run in got)
        return got

    def see(self, run: LockedRun) -> None:
        """A run whose state is known; what is written is guarded by its last seq."""
        self.runs[run.id] = run

    # What happened

    def event(
        self,
        run: LockedRun,
        event_type: str,
        step_id: UUID | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """One more event of a run, numbered under its guard."""
        run.touch()
        run.last_seq += 1
        self._events.append(
            {
                "s": run.id,
                "n": run.last_seq,
                "p": run.project_id,
                "t": event_type,
                "st": step_id,
                "d": data or {},
                "a": is_activity(event_type),
            }
        )

    def end_step(self, run: LockedRun, ended: Ended) -> None:
        """A step ended, waits for somebody, or failed an attempt that will be repeated."""
        run.touch()
        run.busy_steps -= 1
        self._account(run, ended)
        if ended.is_in_doubt:
            self.doubt([ended.step_id])
        if run.end_status and not ended.is_over:
            _give_up(ended, run.reason)
        if ended.retry_in_ms is not None:
            self._retries.append(_retry_row(ended))
            data = {
                "node": ended.node,
                "attempt": ended.attempt,
                "error": ended.error,
                "retry_in_ms": ended.retry_in_ms,
            }
            self.event(run, "step.retrying", ended.step_id, data)
            return
        self._ends.append(_end_row(ended))
        if ended.status == StepStatus.WAITING:
            data = {"node": ended.node, "reason": ended.reason}
            self.event(run, "step.waiting", ended.step_id, data)
            if ended.approval is not None:
                self.event(run, "approval.requested", ended.step_id, ended.approval)
            return
        self._count_end(run, ended)

    def resume_steps(self, run: LockedRun, step_ids: Iterable[UUID], patch: dict[str, Any]) -> set:
        """Waiting steps of a locked run go on: a worker looks at them again, with `patch` in their
        state. The queues to ring."""
        params = {"patch": dumps(patch).decode(), "steps": list(step_ids), "run": run.id}
        with cursor_of(self.conn) as cursor:
            rows = cursor.execute(sql.RESUME_STEPS, params).fetchall()
        for step_id, node, _ in rows:
            run.busy_steps += 1
            self.event(run, "step.ready", step_id, {"node": node})
        return {queue for _, _, queue in rows}

    def doubt(self, step_ids: Iterable[UUID]) -> None:
        """Nobody knows whether the open calls of these steps happened. Needs the run's lock."""
        if not self.is_locked:
            raise NeedsLock
        self._doubted.extend(step_ids)

    def note_end(self, run: LockedRun, ended: Ended) -> None:
        """A step whose end is written already is decided now."""
        run.touch()
        run.busy_steps -= 1
        self._account(run, ended)
        self._count_end(run, ended)

    def _count_end(self, run: LockedRun, ended: Ended) -> None:
        run.open_steps -= 1
        data: dict[str, Any] = {"node": ended.node, "status": ended.status}
        if ended.error:
            data["error"] = ended.error
        self.event(run, f"step.{ended.status}", ended.step_id, data)

    def _account(self, run: LockedRun, ended: Ended) -> None:
        run.input_tokens += ended.input_tokens
        run.output_tokens += ended.output_tokens
        run.unpriced_calls += ended.unpriced_calls
        if ended.cost is not None:
            run.cost = (run.cost or Decimal(0)) + ended.cost
        for call in ended.calls:
            if call["row"] is not None:
                self._calls[call["kind"]].append(call["row"])
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
        to stop; a second reason does not replace the first. Needs the run's lock."""
        if not self.is_locked:
            raise NeedsLock
        if not run.end_status:
            run.end_status, run.reason, run.error = end_status, reason, error
        run.touch()
        # What was decided before is written first, so that the cancelling sees it.
        ready = [step for step in self._progress.values() if step.run_id == run.id]
        for step in ready:
            del self._progress[step.id]
            if step.status == StepStatus.SKIPPED:
                cursor_of(self.conn).execute(sql.SKIP_STEP, [step.id])
        self._give_up_waiting(run)
        ending = {row["id"] for row in self._ends if row["run"] == run.id}
        with cursor_of(self.conn) as cursor:
            params = {"reason": reason, "run": run.id, "ending": list(ending)}
            rows = cursor.execute(sql.CANCEL_OPEN_STEPS, params).fetchall()
        for step_id, node in rows:
            self.event(run, "step.cancelled", step_id, {"node": node, "reason": reason})
        run.open_steps -= len(rows)
        run.busy_steps = run.open_steps
        self.became_ready = [s for s in self.became_ready if s.run_id != run.id]
        if run.open_steps > 0 and run.status != RunStatus.CANCELLING:
            run.status = RunStatus.CANCELLING
            self.event(run, "run.cancelling", data={"reason": run.reason})

    def _give_up_waiting(self, run: LockedRun) -> None:
        """Attempts to be repeated and steps about to wait, decided before in this transaction."""
        for row in [row for row in self._retries if row["run"] == run.id]:
            self._retries.remove(row)
            kept = {"status": "cancelled", "reason": run.reason, "output": None, "edges": []}
            self._ends.append({**row, **kept, "fatal": False})
            run.open_steps -= 1
            self.event(run, "step.cancelled", row["id"], {"reason": run.reason})
        for row in self._ends:
            if row["run"] == run.id and row["status"] == StepStatus.WAITING:
                row.update(status="cancelled", reason=run.reason)
                run.open_steps -= 1
                self.event(run, "step.cancelled", row["id"], {"reason": run.reason})

    def end_run(
        self,
        run: LockedRun,
        status: str,
        reason: str = "",
        *,
        output: Any = None,
        error: Any = None,
    ) -> None:
        """The run has its one outcome."""
        if run.is_terminal:
            return
        run.touch()
        run.status, run.reason, run.output = status, reason, output
        run.error = error if error is not None else run.error
        data = {"status": status, "workflow": run.workflow_id, "reason": reason}
        if run.error:
            data["error"] = run.error
        self.event(run, f"run.{status}", data=data)

    # Writing

    def write(self) -> set[UUID]:
        """Write everything in one statement; the caller commits and then rings `groups()`.

        Returns the runs that were written. One that changed since it was seen is not, with nothing
        of it; one that this transaction holds always is.
        """
        for step in self.became_ready:
            run = self.runs[step.run_id]
            if step.status == StepStatus.RUNNING:
                data = {"node": step.node, "attempt": step.attempt}
                self.event(run, "step.started", step.id, data)
            else:
                self.event(run, "step.ready", step.id, {"node": step.node})
        for run in self.runs.values():
            self._settle(run)
        if self._doubted:
            self.conn.execute(sql.MARK_UNKNOWN, [self._doubted])
        touched = [r for r in self.runs.values() if r.was is not None]
        if not touched:
            return set()
        params = {
            "runs": _json([_run_row(r) for r in touched]),
            "ends": _json(self._ends),
            "retries": _json(self._retries),
            "progress": _json([_progress_row(s) for s in self._progress.values()]),
            "events": _json(self._events),
            "tool": _json(self._calls["tool"]),
            "model": _json(self._calls["model"]),
        }
        with cursor_of(self.conn) as cursor:
            return {row[0] for row in cursor.execute(sql.WRITE, params).fetchall()}

    def _settle(self, run: LockedRun) -> None:
        """Running and waiting follow from what is left to do."""
        if run.is_terminal or run.was is None:
            return
        if run.status == RunStatus.RUNNING and run.open_steps > 0 and run.busy_steps == 0:
            run.status = RunStatus.WAITING
            self.event(run, "run.waiting", data={"status": run.status})
        elif run.status == RunStatus.WAITING and run.busy_steps > 0:
            run.status = RunStatus.RUNNING
            self.event(run, "run.resumed", data={"status": run.status})

    @property
    def is_urgent(self) -> bool:
        """Whether somebody may be waiting for what happened: not only steps moved on."""
        return any(event["a"] for event in self._events)

    def groups(self) -> list[str]:
        """The live groups to ring after commit."""
        found = set()
        for event in self._events:
            found.add(subject_group(event["s"]))
            if event["a"]:
                found.add(activity_group(event["p"]))
        return list(found)


class NeedsLock(Exception):
    """What happened cannot be decided without the run's lock."""


def _give_up(ended: Ended, reason: str) -> None:
    """The run is ending: nothing is repeated or waited for any more."""
    ended.retry_in_ms = None
    ended.status, ended.reason, ended.is_fatal = StepStatus.CANCELLED, reason, False


def write_undecided(conn: psycopg.Connection, ends: Sequence[Ended]) -> None:
    """Ends of steps whose run is locked by another: written now, decided right after."""
    calls = [call for ended in ends for call in ended.calls]
    params = {
        "tool": _json([call["row"] for call in calls if call["kind"] == "tool"]),
        "model": _json([call["row"] for call in calls if call["kind"] == "model"]),
        "ends": _json([{**_end_row(e), "state": _untold(e)} for e in ends]),
    }
    conn.execute(sql.END_UNDECIDED, params)
    if doubted := [e.step_id for e in ends if e.is_in_doubt]:
        conn.execute(sql.MARK_UNKNOWN, [doubted])


def _untold(ended: Ended) -> dict[str, Any]:
    """What the run has still to be told of an undecided end, besides the step's own row."""
    return {
        "fatal": ended.is_fatal,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
        "calls": [{"kind": call["kind"], "event": call["event"]} for call in ended.calls],
    }


def undecided_end(run_id: UUID, row: Mapping[str, Any]) -> Ended:
    """The end that `write_undecided` kept, from its row. Its calls are written already."""
    untold = row["state"]
    cost = untold.get("cost")
    return Ended(
        step_id=row["id"],
        run_id=run_id,
        path=row["path"],
        node=row["node"],
        lease=row["id"],
        status=row["status"],
        reason=row["reason"],
        error=row["error"],
        output=row["output"],
        edges=tuple(row["edges"] or ()),
        is_fatal=untold.get("fatal", False),
        input_tokens=untold.get("it", 0),
        output_tokens=untold.get("ot", 0),
        cost=None if cost is None else Decimal(str(cost)),
        unpriced_calls=untold.get("un", 0),
        calls=[{**call, "row": None} for call in untold.get("calls", ())],
    )


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return dumps(rows).decode() if rows else "[]"


def _end_row(ended: Ended) -> dict[str, Any]:
    return {
        "run": ended.run_id,
        "id": ended.step_id,
        "lease": ended.lease,
        "status": ended.status,
        "reason": ended.reason,
        "input": ended.input,
        "output": ended.output,
        "error": ended.error,
        "edges": list(ended.edges),
        "fatal": ended.is_fatal,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
        "wake": ended.wake_at,
        "state": ended.state,
        "approval": ended.approval_id,
    }


def _retry_row(ended: Ended) -> dict[str, Any]:
    return {
        "run": ended.run_id,
        "id": ended.step_id,
        "lease": ended.lease,
        "error": ended.error,
        "input": ended.input,
        "ms": ended.retry_in_ms,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
    }


def _progress_row(step: StepRow) -> dict[str, Any]:
    return {
        "run": step.run_id,
        "id": step.id,
        "status": step.status,
        "left": step.deps_left,
        "taken": step.deps_taken,
        "lease": step.lease,
        "worker": step.worker_id,
        "attempt": step.attempt,
    }


def _run_row(run: LockedRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "was": run.was,
        "status": run.status,
        "end": run.end_status,
        "reason": run.reason,
        "seq": run.last_seq,
        "open": run.open_steps,
        "busy": run.busy_steps,
        "output": run.output,
        "error": run.error,
        "it": run.input_tokens,
        "ot": run.output_tokens,
        "cost": run.cost,
        "un": run.unpriced_calls,
        "ended": run.is_terminal,
    }


def read_rows(conn: psycopg.Connection, statement: str, params: Any) -> list[dict[str, Any]]:
    """Rows as dicts."""
    with cursor_of(conn, dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()

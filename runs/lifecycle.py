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

Place = tuple[UUID, str]  # run, path


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
    state: dict[str, Any] | None = None
    lease: UUID | None = None
    worker_id: UUID | None = None


@dataclass(slots=True)
class ScopeRow:
    """What deciding needs of one item of a map or one pass of a loop."""

    run_id: UUID
    step_id: UUID
    path: str
    index: int
    status: str
    open_steps: int
    output: Any = None
    error: Any = None


@dataclass(slots=True)
class Spawn:
    """Bodies a container opens: the words of each of its items from `first` on, of which `window`
    may be open at a time; `kept` are outputs that an earlier run has made."""

    words: list[dict[str, Any]]
    first: int = 0
    window: int = 1
    kept: dict[int, Any] = field(default_factory=dict)

    def indexes(self) -> list[int]:
        """The items that are opened at once."""
        count = range(self.first, self.first + len(self.words))
        return [index for index in count if index not in self.kept][: self.window]

    def counts(self, allow: int) -> dict[str, Any]:
        """What the container's state says once they are open."""
        opened = self.indexes()
        return {
            "total": self.first + len(self.words),
            "next": opened[-1] + 1,
            "open": len(opened),
            "done": self.first + len(self.kept),
            "failed": 0,
            "allow": allow,
            "has_kept": bool(self.kept),
        }


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
    # A container opens bodies; or it ends while some of them are open.
    spawn: Spawn | None = None
    leaves_open: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the step has ended for good: nothing is repeated or waited for."""
        return self.retry_in_ms is None and self.status != StepStatus.WAITING

    @property
    def needs_lock(self) -> bool:
        """Whether more is written, or must be known, than the one guarded statement can: a step is
        cancelled only in a run whose end has begun elsewhere."""
        is_cut = self.status == StepStatus.CANCELLED or self.leaves_open
        return self.is_fatal or self.is_in_doubt or is_cut


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
        # Steps of bodies opened in this transaction, with their rows; and the scopes they are of.
        self._new: dict[UUID, dict[str, Any]] = {}
        self._new_scopes: dict[Place, dict[str, Any]] = {}
        self._scopes: dict[Place, ScopeRow] = {}
        # Places whose running steps must stop: a worker looks whether it has some of them.
        self.closed: list[Under] = []

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
                **_where(ended),
                "attempt": ended.attempt,
                "error": ended.error,
                "retry_in_ms": ended.retry_in_ms,
            }
            self.event(run, "step.retrying", ended.step_id, data)
            return
        self._ends.append(_end_row(ended))
        if ended.status == StepStatus.WAITING:
            data = {**_where(ended), "reason": ended.reason}
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
        data: dict[str, Any] = {**_where(ended), "status": ended.status}
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
        # Going on after a wait is no new attempt.
        step.attempt += not (step.state or {}).get("resumed", False)

    def count_edge(self, step: StepRow) -> None:
        """A pending step learned of a decided edge."""
        self._progress[step.id] = step

    def skip(self, run: LockedRun, step: StepRow) -> None:
        """No edge into this step was taken."""
        step.status = StepStatus.SKIPPED
        run.open_steps -= 1
        self._progress[step.id] = step
        self.event(run, "step.skipped", step.id, _where(step))

    # Bodies of maps and loops

    def open_step(self, run: LockedRun, row: dict[str, Any]) -> StepRow:
        """A step of a body begins to exist."""
        step = StepRow(
            id=row["id"], run_id=run.id, path=row["path"], node=row["node"],
            status=StepStatus.PENDING, deps_left=row["left"], deps_taken=0, queue=row["queue"],
            pool=row["pool"], kind=row["kind"], attempt=0,
        )  # fmt: skip
        run.touch()
        run.open_steps += 1
        self._new[step.id] = row
        self._progress[step.id] = step
        if row["status"] == StepStatus.READY:
            self.make_ready(run, step)
        return step

    def add_scope(self, scope: ScopeRow, words: dict[str, Any]) -> None:
        """An item of a map, or a pass of a loop, begins to exist."""
        self._new_scopes[(scope.run_id, scope.path)] = {
            "step": scope.step_id, "index": scope.index, "run": scope.run_id, "path": scope.path,
            "status": scope.status, "open": scope.open_steps, "words": words,
            "output": scope.output,
        }  # fmt: skip

    def change_scope(self, scope: ScopeRow) -> None:
        """An item moved on; what it says now is written."""
        self._scopes[(scope.run_id, scope.path)] = scope

    def change_container(self, run: LockedRun, step: StepRow, state: dict[str, Any]) -> None:
        """A map or loop counted an item; it still waits."""
        run.touch()
        step.state = state
        self._progress[step.id] = step

    def close_under(self, run: LockedRun, under: "Under", reason: str) -> None:
        """Cancel what is open below a place; what runs there is told to stop. Needs the lock."""
        if not self.is_locked:
            raise NeedsLock
        self._cancel_open(run, under, reason)
        for place, row in self._new_scopes.items():
            if place[0] == run.id and place[1].startswith(under.prefix):
                row.update(status="cancelled")
        params = {"run": run.id, "under": under.prefix}
        self.conn.execute(sql.CLOSE_SCOPES, params)
        self.closed.append(under)

    def _cancel_open(self, run: LockedRun, under: "Under | None", reason: str) -> None:
        """Cancel the steps that do not run: all of the run, or those below a place."""
        # What was decided before in this transaction is written first, so that this sees it.
        for step in [s for s in self._progress.values() if s.run_id == run.id]:
            if under is not None and not under.holds(step.path):
                continue
            del self._progress[step.id]
            if step.status == StepStatus.READY:
                run.busy_steps -= 1
            if self._new.pop(step.id, None) is not None:
                run.open_steps -= step.status != StepStatus.SKIPPED
            elif step.status == StepStatus.SKIPPED:
                cursor_of(self.conn).execute(sql.SKIP_STEP, [step.id])
        self.became_ready = [s for s in self.became_ready if s.id in self._progress]
        self._give_up_waiting(run, under)
        ending = {row["id"] for row in self._ends if row["run"] == run.id}
        params = {
            "reason": reason, "run": run.id, "ending": list(ending),
            "under": under and under.prefix, "at": under and under.path,
        }  # fmt: skip
        with cursor_of(self.conn) as cursor:
            rows = cursor.execute(sql.CANCEL_OPEN_STEPS, params).fetchall()
        for step_id, node, was_ready in rows:
            run.busy_steps -= was_ready
            self.event(run, "step.cancelled", step_id, {"node": node, "reason": reason})
        run.open_steps -= len(rows)

    # The end

    def begin_end(self, run: LockedRun, end_status: str, reason: str, error: Any = None) -> None:
        """The run will end as `end_status`: what is not running is cancelled now, what runs is told
        to stop; a second reason does not replace the first. Needs the run's lock."""
        if not self.is_locked:
            raise NeedsLock
        if not run.end_status:
            run.end_status, run.reason, run.error = end_status, reason, error
        run.touch()
        self._cancel_open(run, None, reason)
        run.busy_steps = run.open_steps
        if run.open_steps > 0 and run.status != RunStatus.CANCELLING:
            run.status = RunStatus.CANCELLING
            self.event(run, "run.cancelling", data={"reason": run.reason})

    def _give_up_waiting(self, run: LockedRun, under: "Under | None") -> None:
        """Attempts to be repeated and steps about to wait, decided before in this transaction."""

        def is_meant(row: dict[str, Any]) -> bool:
            return row["run"] == run.id and (under is None or under.holds(row["path"]))

        for row in [row for row in self._retries if is_meant(row)]:
            self._retries.remove(row)
            kept = {"status": "cancelled", "reason": run.reason, "output": None, "edges": []}
            self._ends.append({**row, **kept, "fatal": False})
            run.open_steps -= 1
            self.event(run, "step.cancelled", row["id"], {"reason": run.reason})
        for row in self._ends:
            if is_meant(row) and row["status"] == StepStatus.WAITING:
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
                data = {**_where(step), "attempt": step.attempt}
                self.event(run, "step.started", step.id, data)
            else:
                self.event(run, "step.ready", step.id, _where(step))
        for run in self.runs.values():
            self._settle(run)
        if self._doubted:
            self.conn.execute(sql.MARK_UNKNOWN, [self._doubted])
        touched = [r for r in self.runs.values() if r.was is not None]
        if not touched:
            return set()
        progress = [s for s in self._progress.values() if s.id not in self._new]
        params = {
            "runs": _json([_run_row(r) for r in touched]),
            "ends": _json(self._ends),
            "retries": _json(self._retries),
            "progress": _json([_progress_row(s) for s in progress]),
            "events": _json(self._events),
            "tool": _json(self._calls["tool"]),
            "model": _json(self._calls["model"]),
        }
        statement = sql.WRITE
        if self._new or self._new_scopes or self._scopes:
            statement = sql.WRITE_BODIES
            params |= self._bodies()
        with cursor_of(self.conn) as cursor:
            return {row[0] for row in cursor.execute(statement, params).fetchall()}

    def _bodies(self) -> dict[str, str]:
        """The steps and scopes that begin to exist or change."""
        opened = dict(self._new_scopes)
        changed = []
        for place, scope in self._scopes.items():
            if place in opened:
                opened[place] = {
                    **opened[place], "status": scope.status, "open": scope.open_steps,
                    "output": scope.output,
                }  # fmt: skip
            else:
                changed.append(_scope_row(scope))
        steps = [{**row, **_progress_row(self._progress[id])} for id, row in self._new.items()]
        return {
            "steps": _json(steps),
            "scopes": _json(list(opened.values())),
            "changed": _json(changed),
        }

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


@dataclass(frozen=True, slots=True)
class Under:
    """A place of a run: the body at `path`, and all whose path begins with `prefix`. For all items
    of a container both are what their paths begin with."""

    run_id: UUID
    path: str
    prefix: str

    def holds(self, path: str) -> bool:
        """Whether a step at that path lies there."""
        return path == self.path or path.startswith(self.prefix)


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


def _where(step: StepRow | Ended) -> dict[str, Any]:
    """Which step an event is about: its node, and its place where that is inside a body."""
    return {"node": step.node, "path": step.path} if step.path else {"node": step.node}


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return dumps(rows).decode() if rows else "[]"


def _end_row(ended: Ended) -> dict[str, Any]:
    return {
        "run": ended.run_id,
        "path": ended.path,
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
        "path": ended.path,
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
        "state": step.state,
    }


def _scope_row(scope: ScopeRow) -> dict[str, Any]:
    return {
        "run": scope.run_id, "step": scope.step_id, "index": scope.index, "status": scope.status,
        "open": scope.open_steps, "output": scope.output, "error": scope.error,
    }  # fmt: skip


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

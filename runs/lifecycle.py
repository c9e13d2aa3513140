"""The only writer of a run's and a step's status outside runs.dispatch: a transaction's ledger.

Callers say what happened to runs they have locked, or whose state they know (`see`), and write:
steps, runs, events and calls leave as one set-based statement, guarded by each run's last seq.
Lock order: runs by id, then steps.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import args_row, dict_row

from controlplane.kit.database import cursor_of
from controlplane.kit.events import activity_group, is_activity, subject_group
from controlplane.kit.json import dumps
from runs import statements as sql
from runs.rows import (
    Ended,
    LockedRun,
    Place,
    ScopeRow,
    StepRow,
    Under,
    as_json,
    end_row,
    progress_row,
    retry_row,
    run_row,
    scope_row,
    where,
)
from runs.states import RunStatus, StepStatus
from runs.writing import write_statement


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
            self._retries.append(retry_row(ended))
            data = {
                **where(ended),
                "attempt": ended.attempt,
                "error": ended.error,
                "retry_in_ms": ended.retry_in_ms,
            }
            self.event(run, "step.retrying", ended.step_id, data)
            return
        self._ends.append(end_row(ended))
        if ended.status == StepStatus.WAITING:
            data = {**where(ended), "reason": ended.reason}
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
        data: dict[str, Any] = {**where(ended), "status": ended.status}
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
        self.event(run, "step.skipped", step.id, where(step))

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
                data = {**where(step), "attempt": step.attempt}
                self.event(run, "step.started", step.id, data)
            else:
                self.event(run, "step.ready", step.id, where(step))
        for run in self.runs.values():
            self._settle(run)
        if self._doubted:
            self.conn.execute(sql.MARK_UNKNOWN, [self._doubted])
        touched = [r for r in self.runs.values() if r.was is not None]
        if not touched:
            return set()
        progress = [s for s in self._progress.values() if s.id not in self._new]
        parts = {
            "runs": [run_row(r) for r in touched],
            "ends": self._ends,
            "retries": self._retries,
            "progress": [progress_row(s) for s in progress],
            "events": self._events,
            "tool": self._calls["tool"],
            "model": self._calls["model"],
            **self._bodies(),
        }
        params = {name: as_json(rows) for name, rows in parts.items() if rows}
        with cursor_of(self.conn) as cursor:
            return {row[0] for row in cursor.execute(write_statement(params), params).fetchall()}

    def _bodies(self) -> dict[str, list[dict[str, Any]]]:
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
                changed.append(scope_row(scope))
        steps = [{**row, **progress_row(self._progress[id])} for id, row in self._new.items()]
        return {"steps": steps, "scopes": list(opened.values()), "changed": changed}

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


def read_rows(conn: psycopg.Connection, statement: str, params: Any) -> list[dict[str, Any]]:
    """Rows as dicts."""
    with cursor_of(conn, dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()

"""What the ticker does every moment so that no run is forgotten: dead workers, due timers, late
decisions, cancels that were not heard, deadlines, doorbells that got lost."""

import logging
import time
from typing import Any
from uuid import UUID

import psycopg

from controlplane.kit.events import announce
from controlplane.kit.json import dumps
from controlplane.kit.queue import ring
from runs import statements as sql
from runs.advance import settle
from runs.dispatch import render_output
from runs.facts import Facts
from runs.lifecycle import Ledger, LockedRun, read_rows
from runs.states import RunStatus, StepStatus
from runs.store import decide

logger = logging.getLogger(__name__)
SILENT_SECONDS = 8.0
MOST_CRASHES = 3


class Sweeper:
    """The sweep of one ticker. `conn` is in autocommit; each run is mended in its own commit."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.facts = Facts()
        self._answering_since = time.monotonic()
        self._last_sweep = time.monotonic()

    def sweep(self) -> None:
        """One round; what is found is worked off in full."""
        if time.monotonic() - self._last_sweep > SILENT_SECONDS:
            # The database was away, or we were: nobody is called dead for one full threshold.
            self._answering_since = time.monotonic()
        self.wake_due()
        if time.monotonic() - self._answering_since >= SILENT_SECONDS:
            self.bury_silent_workers()
        self.recover_orphans()
        for (run_id,) in self.conn.execute(sql.UNDECIDED_RUNS).fetchall():
            self._announce_all(*decide(self.conn, self.facts, run_id))
        self.end_overdue()
        self.force_cancels()
        self.mend_idle_runs()
        self._last_sweep = time.monotonic()

    def ring_waiting(self) -> None:
        """Ring again for steps that have been ready for more than 2 s."""
        for queue_name, count in self.conn.execute(sql.WAITING_QUEUES).fetchall():
            ring("wake", queue_name, times=min(count, 4))

    def seconds_to_next_timer(self) -> float | None:
        """Until the next backoff or timer is due; None where there is none."""
        (seconds,) = self.conn.execute(sql.NEXT_DUE).fetchone() or (None,)
        return None if seconds is None else float(seconds)

    def wake_due(self) -> None:
        """Steps whose backoff is over become ready."""
        for (run_id,) in self.conn.execute(sql.DUE_RUNS).fetchall():
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                run = next(iter(ledger.lock([run_id])), None)
                if run is None or run.is_terminal or run.status == RunStatus.PAUSED:
                    continue
                woken = read_rows(self.conn, sql.WAKE_DUE, [run_id])
                for row in woken:
                    run.busy_steps += 1
                    ledger.event(run, "step.ready", row["id"], {"node": row["node"]})
                ledger.write()
            self._announce_all(ledger.groups(), {row["queue"] for row in woken})

    def bury_silent_workers(self) -> None:
        """Workers without a heartbeat for 8 s are dead."""
        for row in read_rows(self.conn, sql.DEAD_WORKERS, [SILENT_SECONDS]):
            logger.warning("worker %s on %s is silent and counts as dead", row["id"], row["host"])

    def recover_orphans(self) -> None:
        """Steps leased to dead workers go back to the queue; after three crashes they are parked;
        a step with an open effect that cannot be repeated waits for a person."""
        for (run_id,) in self.conn.execute(sql.ORPHANS).fetchall():
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                run = next(iter(ledger.lock([run_id])), None)
                if run is None:
                    continue
                steps = read_rows(self.conn, sql.ORPHANED_STEPS, [run_id])
                queues = self._crash(ledger, run, steps)
                self._settle(ledger, run)
                ledger.write()
            self._announce_all(ledger.groups(), queues)

    def _crash(self, ledger: Ledger, run: LockedRun, steps: list[dict[str, Any]]) -> set[str]:
        ids = [s["id"] for s in steps]
        effects = read_rows(self.conn, sql.OPEN_EFFECTS, [ids])
        unsafe = {e["step_id"]: e["tool_name"] for e in effects if e["effect_class"] == "unsafe"}
        rows, queues = [], set()
        error = {"code": "worker_lost", "message": "The worker died in the middle of this step."}
        for step in steps:
            status, reason = StepStatus.READY, "worker_lost"
            if run.end_status:
                status, reason = StepStatus.CANCELLED, run.reason
            elif step["id"] in unsafe:
                status, reason = StepStatus.WAITING, "reconcile"
            elif step["crash_count"] + 1 >= MOST_CRASHES:
                status, reason = StepStatus.PARKED, "crashed"
            rows.append({"id": step["id"], "status": status, "reason": reason, "error": error})
            data = {"node": step["node"], "reason": reason}
            if status == StepStatus.READY:
                queues.add(step["queue"])
                ledger.event(run, "step.retrying", step["id"], {**data, "error": error})
            else:
                run.busy_steps -= 1
                run.open_steps -= status == StepStatus.CANCELLED
                ledger.event(run, f"step.{status}", step["id"], data)
        with self.conn.cursor() as cursor:
            cursor.execute(sql.CRASH_STEPS, [dumps(rows).decode()])
            if unsafe:
                cursor.execute(sql.MARK_UNKNOWN, [list(unsafe)])
        return queues

    def end_overdue(self) -> None:
        """Runs past their deadline time out."""
        for (run_id,) in self.conn.execute(sql.OVERDUE_RUNS).fetchall():
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                run = next(iter(ledger.lock([run_id])), None)
                if run is None or run.is_terminal or run.end_status:
                    continue
                error = {"code": "deadline", "message": "The run passed its deadline."}
                ledger.begin_end(run, RunStatus.TIMED_OUT, "deadline", error)
                self._settle(ledger, run)
                ledger.write()
            self._announce_all(ledger.groups(), set())

    def force_cancels(self) -> None:
        """Running steps of a cancelling run that did not stop in their grace lose their lease."""
        for step in read_rows(self.conn, sql.STUBBORN_STEPS, []):
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                run = next(iter(ledger.lock([step["run_id"]])), None)
                if run is None or run.status != RunStatus.CANCELLING:
                    continue
                forced = read_rows(self.conn, sql.FORCE_CANCEL, [step["id"], step["lease"]])
                for row in forced:
                    run.open_steps -= 1
                    run.busy_steps -= 1
                    data = {"node": row["node"], "reason": "forced"}
                    ledger.event(run, "step.cancelled", row["id"], data)
                if step["has_effect"]:
                    self.conn.execute(sql.MARK_UNKNOWN, [[step["id"]]])
                self._settle(ledger, run)
                ledger.write()
            self._announce_all(ledger.groups(), set())

    def mend_idle_runs(self) -> None:
        """Runs that claim to run without a live step: there must be none. They are settled again
        and said aloud."""
        for (run_id,) in self.conn.execute(sql.IDLE_RUNNING_RUNS).fetchall():
            logger.error("run %s has no live step; settling it again", run_id)
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                run = next(iter(ledger.lock([run_id])), None)
                if run is None or run.is_terminal:
                    continue
                counts = read_rows(self.conn, sql.COUNT_STEPS, [run_id])[0]
                run.open_steps, run.busy_steps = counts["open"], counts["busy"]
                run.touch()
                if run.end_status:
                    ledger.begin_end(run, run.end_status, run.reason)
                self._settle(ledger, run)
                ledger.write()
            self._announce_all(ledger.groups(), set())

    def _settle(self, ledger: Ledger, run: LockedRun) -> None:
        graph = self.facts.graph(self.conn, run.version_id)
        settle(
            ledger, run, graph, lambda run, graph: render_output(self.conn, self.facts, run, graph)
        )

    def _announce_all(self, groups: list[str], queues: set[str]) -> None:
        if groups:
            announce(groups)
        for queue_name in queues:
            ring("wake", queue_name)


def settle_run(conn: psycopg.Connection, facts: Facts, ledger: Ledger, run_id: UUID) -> None:
    """End a locked run where nothing is open any more."""
    run = ledger.runs[run_id]
    graph = facts.graph(conn, run.version_id)
    settle(ledger, run, graph, lambda run, graph: render_output(conn, facts, run, graph))

"""What the ticker does every moment so that no run is forgotten: dead workers, due timers, late
decisions, cancels that were not heard, deadlines, doorbells that got lost."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from controlplane.kit.queue import ring
from runs import release
from runs import statements as sql
from runs.admission import admit
from runs.advance import settle, settle_ending
from runs.dispatch import render_output
from runs.facts import Facts
from runs.freezing import hold, let_go
from runs.lifecycle import Ledger, read_rows
from runs.rows import LockedRun
from runs.states import RunStatus
from runs.store import decide

logger = logging.getLogger(__name__)
SILENT_SECONDS = 8.0
# Of runs to be held or let go, in one round.
MOST_BATCHES = 50


class Sweeper:
    """The sweep of one ticker. `conn` is in autocommit; each run is mended in its own commit, and
    one that cannot be mended does not keep the others waiting."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.facts = Facts()
        self._answering_since = time.monotonic()
        self._last_sweep = time.monotonic()
        # Instances of deployments that were called dead and whose agents have not been told.
        self.buried: list[UUID] = []

    def sweep(self) -> None:
        """One round; what is found is worked off in full."""
        if time.monotonic() - self._last_sweep > SILENT_SECONDS:
            # The database was away, or we were: nobody is called dead for one full threshold.
            self._answering_since = time.monotonic()
        self.wake_due()
        if time.monotonic() - self._answering_since >= SILENT_SECONDS:
            self.bury_silent_workers()
        self.recover_orphans()
        self.freeze_and_thaw()
        self._each(sql.UNDECIDED_RUNS, self._decide)
        self._each(sql.MISSED, self._mend(self._catch_up))
        self._each(sql.OVERDUE_RUNS, self._mend(self._end_overdue))
        self._each(sql.HELD_WORKFLOWS, self._admit)
        self._each(sql.FORSAKEN_RUNS, self._mend(self._end_forsaken))
        self._each(sql.STUBBORN_RUNS, self._mend(self._force_cancel))
        self._each(sql.IDLE_RUNNING_RUNS, self._mend(self._settle_again))
        self._last_sweep = time.monotonic()

    def _each(self, statement: str, work: Callable[[UUID], None]) -> None:
        """Do the work for each run that the statement names."""
        for (run_id,) in self.conn.execute(statement).fetchall():
            try:
                work(run_id)
            except psycopg.OperationalError:
                raise
            except Exception:
                logger.exception("run %s cannot be mended", run_id)

    def _mend(
        self, change: Callable[[Ledger, LockedRun], set[str] | None]
    ) -> Callable[[UUID], None]:
        """`change` in a transaction that holds the run, if it is free; it may name queues to
        ring."""

        def work(run_id: UUID) -> None:
            queues: set[str] | None = None
            with self.conn.transaction():
                ledger = Ledger(self.conn)
                for run in ledger.lock([run_id]):
                    queues = change(ledger, run)
                    settle_ending(ledger, run)
                ledger.write()
            release.tell(ledger.groups(), queues or ())

        return work

    def freeze_and_thaw(self) -> None:
        """Runs stand as the freeze switches of their project and environment say."""
        try:
            for _ in range(MOST_BATCHES):
                if not hold(self.conn) and not let_go(self.conn):
                    return
        except psycopg.OperationalError:
            raise
        except Exception:
            logger.exception("runs cannot be frozen or thawed")

    def ring_waiting(self) -> None:
        """Ring again for steps that have been ready for more than 2 s."""
        for queue_name, count in self.conn.execute(sql.WAITING_QUEUES).fetchall():
            ring("wake", queue_name, times=min(count, 4))

    def seconds_to_next_timer(self) -> float | None:
        """Until the next backoff or timer is due; None where there is none."""
        (seconds,) = self.conn.execute(sql.NEXT_DUE).fetchone() or (None,)
        return None if seconds is None else float(seconds)

    def wake_due(self) -> None:
        """Steps whose backoff is over become ready; in a paused run they start when it goes on."""
        self._each(sql.DUE_RUNS, self._mend(self._wake))

    def _wake(self, ledger: Ledger, run: LockedRun) -> set[str]:
        woken = read_rows(self.conn, sql.WAKE_DUE, [run.id])
        for row in woken:
            run.busy_steps += 1
            ledger.event(run, "step.ready", row["id"], {"node": row["node"]})
        return {row["queue"] for row in woken}

    def _catch_up(self, ledger: Ledger, run: LockedRun) -> set[str]:
        """What a step waits for came in the moment it was about to wait."""
        rows = read_rows(self.conn, sql.MISSED_STEPS, {"run": run.id})
        return ledger.resume_steps(run, [row["id"] for row in rows], {})

    def bury_silent_workers(self) -> None:
        """Workers without a heartbeat for 8 s are dead."""
        for row in read_rows(self.conn, sql.DEAD_WORKERS, [SILENT_SECONDS]):
            logger.warning("worker %s on %s is silent and counts as dead", row["id"], row["host"])
            if row["deployment_id"] is not None:
                self.buried.append(row["id"])

    def recover_orphans(self) -> None:
        """Steps leased to dead workers go back to the queue, are parked, or wait for a person."""
        self._each(sql.ORPHANS, self._mend(self._recover))

    def _recover(self, ledger: Ledger, run: LockedRun) -> set[str]:
        return release.crash(ledger, run, read_rows(self.conn, sql.ORPHANED_STEPS, [run.id]))

    def _admit(self, workflow_id: UUID) -> None:
        """Runs that ended otherwise than by a worker, or another limit, make room too."""
        with self.conn.transaction():
            heard = admit(self.conn, workflow_id)
        release.tell(*heard)

    def _decide(self, run_id: UUID) -> None:
        release.tell(*decide(self.conn, self.facts, run_id))

    def _end_overdue(self, ledger: Ledger, run: LockedRun) -> None:
        """Runs past their deadline time out."""
        if not run.is_terminal and not run.end_status:
            error = {"code": "deadline", "message": "The run passed its deadline."}
            ledger.begin_end(run, RunStatus.TIMED_OUT, "deadline", error)

    def _end_forsaken(self, ledger: Ledger, run: LockedRun) -> None:
        """Sub-workflows that nobody waits for any more are cancelled."""
        if not run.is_terminal and not run.end_status:
            error = {"code": "parent_ended", "message": "The run that started it was ended."}
            ledger.begin_end(run, RunStatus.CANCELLED, "parent_ended", error)

    def _force_cancel(self, ledger: Ledger, run: LockedRun) -> None:
        """Running steps of a cancelling run that did not stop in their grace lose their lease."""
        if run.status != RunStatus.CANCELLING:
            return
        forced = read_rows(self.conn, sql.FORCE_CANCEL, [run.id])
        for row in forced:
            run.open_steps -= 1
            run.busy_steps -= 1
            data = {"node": row["node"], "reason": "forced"}
            ledger.event(run, "step.cancelled", row["id"], data)
        ledger.doubt(row["id"] for row in forced)

    def _settle_again(self, ledger: Ledger, run: LockedRun) -> None:
        """Runs that claim to run without a live step: there must be none. They are settled again
        and said aloud."""
        logger.error("run %s has no live step; settling it again", run.id)
        if run.is_terminal:
            return
        counts = read_rows(self.conn, sql.COUNT_STEPS, [run.id])[0]
        run.open_steps, run.busy_steps = counts["open"], counts["busy"]
        run.touch()
        if run.end_status:
            ledger.begin_end(run, run.end_status, run.reason)
            return
        graph = self.facts.graph(self.conn, run.version_id)
        settle(
            ledger, run, graph, lambda run, graph: render_output(self.conn, self.facts, run, graph)
        )

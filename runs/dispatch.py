"""The worker's transactions: claim, and complete with what follows, many steps in one commit.

The usual way of a completion is one statement: the worker knows the run as it last wrote it,
decides in memory, and writes under the guard of the run's last seq. Where somebody else touched the
run meanwhile the guard refuses, and the same decision is taken again under the run's lock.
"""

from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from controlplane.kit.database import cursor_of
from controlplane.kit.events import activity_group, announce, subject_group
from controlplane.kit.ids import uuid7
from runs import statements as sql
from runs.advance import advance, settle
from runs.facts import Facts, KnownRows, LoadedFrontier, StepFact, Views
from runs.lifecycle import Ledger, NeedsLock, read_rows
from runs.rows import Ended, LockedRun, StepRow, Under
from runs.states import RunStatus
from runs.undecided import write_undecided
from workflows.graph import Graph

# Runs of at most so many steps are read whole when they begin on this worker.
SMALL_RUN = 500


@dataclass(slots=True)
class Claimed:
    """A step this worker holds a lease on."""

    id: UUID
    run_id: UUID
    path: str
    node: str
    lease: UUID
    attempt: int
    crash_count: int
    pool: str
    state: dict[str, Any] | None = None


@dataclass(slots=True)
class Outcome:
    """What commits did: steps to start, groups to tell, queues to ring, ends left undecided."""

    claimed: list[Claimed] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    ring: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    undecided: list[Ended] = field(default_factory=list)
    # Runs whose other steps must stop now.
    ending: set[UUID] = field(default_factory=set)
    # Places whose running steps must stop now: an item of a map failed.
    closed: list[Under] = field(default_factory=list)
    # Runs that ended and that a step of another run may wait for.
    ended_children: list[UUID] = field(default_factory=list)
    # Workflows that may have room for another run now.
    freed: set[UUID] = field(default_factory=set)
    # Whether somebody may be waiting for this: a run ended or waits.
    is_urgent: bool = False


class Take(Protocol):
    """Says whether this worker has a slot for a step, and hears where it was not needed."""

    def __call__(self, step: StepRow) -> bool:
        """Take a slot."""
        ...

    def give_back(self, step: StepRow) -> None:
        """The step was not leased after all."""


class Dispatcher:
    """Claims and completes for one worker, on the connection it is given (in autocommit)."""

    def __init__(self, facts: Facts, worker_id: UUID, queue_name: str) -> None:
        self.facts = facts
        self.views = Views()
        self.worker_id = worker_id
        self.queue_name = queue_name

    def claim(
        self, conn: psycopg.Connection, free: Mapping[str, int]
    ) -> tuple[list[Claimed], set[UUID]]:
        """Lease ready steps for the free slots of each pool: one statement, one commit. Returns
        them and the runs that begin here."""
        params = {"queue": self.queue_name, "worker": self.worker_id, **free}
        with cursor_of(conn, dict_row) as cursor:
            rows = cursor.execute(sql.CLAIM, params).fetchall()
        new_runs = {row["run_id"] for row in rows if row["is_new"]}
        self._see(conn, rows, new_runs)
        groups = {subject_group(row["run_id"]) for row in rows}
        groups |= {activity_group(row["project_id"]) for row in rows}
        announce(groups, is_urgent=False)
        claimed = [
            Claimed(
                row["id"],
                row["run_id"],
                row["path"],
                row["node"],
                row["lease"],
                row["attempt"],
                row["crash_count"],
                row["pool"],
                row["state"],
            )
            for row in rows
        ]
        return claimed, new_runs

    def _see(
        self, conn: psycopg.Connection, rows: list[dict[str, Any]], new_runs: set[UUID]
    ) -> None:
        """Remember the runs of a claim as the claim left them. The rows known of a run that nobody
        else has touched since stay known, but for those that were claimed."""
        whole = {run_id for run_id in new_runs if self._is_small(conn, rows, run_id)}
        frontier = LoadedFrontier(conn, self.facts)
        if whole:
            frontier.read_whole(whole)
        by_run: defaultdict[UUID, KnownRows] = defaultdict(KnownRows)
        for key, step in frontier.known.steps.items():
            by_run[step.run_id].steps[key] = step
        for row in rows:
            view = self.views.get(row["run_id"])
            if view is not None and view[0].last_seq == row["was"]:
                by_run[row["run_id"]] = view[1]
        for row in rows:
            by_run[row["run_id"]].steps.pop((row["run_id"], row["path"], row["node"]), None)
            run = LockedRun(
                id=row["run_id"],
                project_id=row["project_id"],
                workflow_id=row["workflow_id"],
                version_id=row["version_id"],
                status=row["status"],
                end_status=row["end_status"],
                reason=row["reason"],
                last_seq=row["last_seq"],
                open_steps=row["open_steps"],
                busy_steps=row["busy_steps"],
                priority=row["priority"],
            )
            self.views.put(run, by_run[run.id])

    def _is_small(self, conn: psycopg.Connection, rows: list[dict[str, Any]], run_id: UUID) -> bool:
        version_id = next(row["version_id"] for row in rows if row["run_id"] == run_id)
        return 1 < len(self.facts.graph(conn, version_id).nodes) <= SMALL_RUN

    def complete(self, conn: psycopg.Connection, ends: list[Ended], take: Take) -> Outcome:
        """Write the ends of steps and what follows. `take` says whether this worker has a slot for
        a step that became ready; then it is leased in the same commit."""
        outcome = Outcome()
        self.facts.load_runs(conn, {ended.run_id for ended in ends})
        by_run: defaultdict[UUID, list[Ended]] = defaultdict(list)
        for ended in ends:
            by_run[ended.run_id].append(ended)
            remember(self.facts, ended)
        refused = self._complete_seen(conn, by_run, take, outcome)
        if refused:
            self._complete_locked(conn, refused, take, outcome)
        return outcome

    def _complete_seen(
        self,
        conn: psycopg.Connection,
        by_run: dict[UUID, list[Ended]],
        take: Take,
        outcome: Outcome,
    ) -> dict[UUID, list[Ended]]:
        """Decide from memory and write under the guard; the ends that must be decided otherwise."""
        ledger, refused = Ledger(conn, is_locked=False), {}
        frontiers: dict[UUID, LoadedFrontier] = {}
        for run_id, found in by_run.items():
            view = self.views.get(run_id)
            if view is None or any(ended.needs_lock for ended in found):
                refused[run_id] = found
                continue
            ledger.see(replace(view[0]))
            frontiers[run_id] = LoadedFrontier(conn, self.facts, view[1])
        if not ledger.runs:
            return refused
        taken: list[StepRow] = []
        try:
            for run_id, frontier in frontiers.items():
                self._decide(conn, ledger, run_id, by_run[run_id], frontier)
            claimed, ring = self._take_ready(ledger, take, taken)
            written = ledger.write()
        except NeedsLock:
            return by_run
        except BaseException:
            for step in taken:
                take.give_back(step)
            raise
        self._note_ended(conn, ledger, written, outcome)
        for run_id in list(ledger.runs):
            if run_id in written:
                self.views.put(ledger.runs[run_id].written(), frontiers[run_id].keep())
            else:
                refused[run_id] = by_run[run_id]
                self.views.forget(run_id)
        lost = [step for step in taken if step.run_id not in written]
        for step in lost:
            take.give_back(step)
        outcome.claimed += [c for c in claimed if c.run_id in written]
        outcome.groups += ledger.groups()
        outcome.is_urgent |= ledger.is_urgent
        for queue_name, count in ring.items():
            outcome.ring[queue_name] += count
        return refused

    def _complete_locked(
        self,
        conn: psycopg.Connection,
        by_run: dict[UUID, list[Ended]],
        take: Take,
        outcome: Outcome,
        *,
        wait: bool = False,
    ) -> None:
        """The same under the locks of the runs that are free. For the others ends of steps are kept
        until the run can be decided; for what is no end for good the lock is waited for."""
        ends = [ended for found in by_run.values() for ended in found]
        taken: list[StepRow] = []
        try:
            with conn.transaction():
                ledger = Ledger(conn)
                ledger.lock(by_run, wait=wait)
                leases = [[e.step_id for e in ends], [e.lease for e in ends]]
                held = {row["id"] for row in read_rows(conn, sql.HELD_STEPS, leases)}
                kept = [e for e in ends if e.step_id in held]
                busy = [e for e in kept if e.run_id not in ledger.runs]
                undecided = [e for e in busy if e.is_over]
                if undecided:
                    write_undecided(conn, undecided)
                frontier = LoadedFrontier(conn, self.facts)
                for run_id in ledger.runs:
                    mine = [e for e in kept if e.run_id == run_id]
                    self._decide(conn, ledger, run_id, mine, frontier)
                claimed, ring = self._take_ready(ledger, take, taken)
                ledger.write()
        except BaseException:
            for step in taken:
                take.give_back(step)
            raise
        for run in ledger.runs.values():
            if run.status == RunStatus.CANCELLING:
                outcome.ending.add(run.id)
            rows = KnownRows()
            rows.keep(*frontier.of(run.id))
            self.views.put(run.written(), rows)
        outcome.claimed += claimed
        outcome.closed += ledger.closed
        self._note_ended(conn, ledger, ledger.runs, outcome)
        outcome.groups += ledger.groups()
        outcome.is_urgent |= ledger.is_urgent
        outcome.undecided += undecided
        for queue_name, count in ring.items():
            outcome.ring[queue_name] += count
        # What was remembered of an end that is not ours to write any more never became true.
        for ended in ends:
            if ended.step_id not in held:
                self.facts.steps.drop((ended.run_id, ended.path, ended.node))
        later: defaultdict[UUID, list[Ended]] = defaultdict(list)
        for ended in busy:
            if not ended.is_over:
                later[ended.run_id].append(ended)
        if later:
            self._complete_locked(conn, later, take, outcome, wait=True)

    def _decide(
        self,
        conn: psycopg.Connection,
        ledger: Ledger,
        run_id: UUID,
        ends: list[Ended],
        frontier: LoadedFrontier,
    ) -> None:
        run = ledger.runs[run_id]
        graph = self.facts.graph_of(conn, run_id)
        for ended in ends:
            advance(ledger, run, graph, ended, frontier)
        if ends:
            settle(
                ledger, run, graph, lambda run, graph: render_output(conn, self.facts, run, graph)
            )

    def _note_ended(
        self,
        conn: psycopg.Connection,
        ledger: Ledger,
        written: Container[UUID],
        outcome: Outcome,
    ) -> None:
        """Whom the end of a run concerns: a step of another, and runs held back behind it."""
        for run in ledger.runs.values():
            if run.is_terminal and run.id in written:
                facts = self.facts.run(conn, run.id)
                if facts.relation == "child":
                    outcome.ended_children.append(run.id)
                if facts.is_limited:
                    outcome.freed.add(run.workflow_id)

    def _take_ready(
        self, ledger: Ledger, take: Take, taken: list[StepRow]
    ) -> tuple[list[Claimed], dict[str, int]]:
        claimed, ring = [], defaultdict(int)
        for step in sorted(ledger.became_ready, key=lambda s: -ledger.runs[s.run_id].priority):
            run = ledger.runs[step.run_id]
            if run.status in ("running", "waiting") and take(step):
                taken.append(step)
                ledger.take(step, lease=uuid7(), worker_id=self.worker_id)
                claimed.append(
                    Claimed(
                        step.id,
                        step.run_id,
                        step.path,
                        step.node,
                        step.lease,
                        step.attempt,
                        0,
                        step.pool,
                        step.state,
                    )
                )
            else:
                ring[step.queue] += 1
        return claimed, ring


def remember(facts: Facts, ended: Ended) -> None:
    """Keep what other steps may read of an ended step."""
    if ended.is_over:
        key = (ended.run_id, ended.path, ended.node)
        facts.steps.put(key, StepFact(ended.status, ended.output, ended.error))


def render_output(conn: psycopg.Connection, facts: Facts, run: LockedRun, graph: Graph) -> Any:
    """The run's output from the definition's `output`; missing paths are null."""
    if graph.output is None:
        return None
    context = facts.context(conn, run.id, "", graph.output.steps)
    return graph.output.render(context, missing="null")

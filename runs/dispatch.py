"""The worker's transactions: claim, and complete with what follows, many steps in one commit."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from controlplane.kit.ids import uuid7
from runs import statements as sql
from runs.advance import advance, settle, successors
from runs.facts import Facts, LoadedFrontier, StepFact
from runs.lifecycle import Ended, Ledger, LockedRun, StepRow
from workflows.graph import Graph


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
    deps_taken: int
    pool: str
    project_id: UUID
    is_new: bool


@dataclass(slots=True)
class Outcome:
    """What a commit did: steps to start, groups to tell, queues to ring, ends left undecided."""

    claimed: list[Claimed]
    groups: list[str]
    ring: dict[str, int]
    undecided: list[Ended]


def claim(
    conn: psycopg.Connection, *, queue: str, worker_id: UUID, cpu: int, io: int
) -> list[Claimed]:
    """Lease ready steps for free slots: one statement, committed by the caller."""
    with conn.cursor(row_factory=class_row(Claimed)) as cursor:
        params = {"queue": queue, "worker": worker_id, "cpu": cpu, "io": io}
        return cursor.execute(sql.CLAIM, params).fetchall()


def complete(
    conn: psycopg.Connection,
    facts: Facts,
    ends: list[Ended],
    take: Callable[[StepRow], bool],
    worker_id: UUID,
) -> Outcome:
    """Write the ends of steps and what follows in one transaction (the caller commits).

    Runs locked by another are not waited for: their ends are written undecided. `take` says
    whether this worker has a slot for a step that became ready; then it is leased at once.
    """
    ledger = Ledger(conn)
    facts.load_runs(conn, {ended.run_id for ended in ends})
    graphs = {e.run_id: facts.graph(conn, facts.run(conn, e.run_id).version_id) for e in ends}
    frontier = LoadedFrontier(conn)
    held = _lock(conn, ledger, ends, frontier, graphs)
    undecided, by_run = _sort(ends, held, ledger.runs)
    for ended in undecided:
        ledger.end_step_unlocked(ended)
    for run_id, found in by_run.items():
        run, graph = ledger.runs[run_id], graphs[run_id]
        for ended in found:
            remember(facts, ended)
            advance(ledger, run, graph, ended, frontier)
        settle(ledger, run, graph, lambda run, graph: render_output(conn, facts, run, graph))
    claimed, ring = _take_ready(ledger, take, worker_id)
    with conn.pipeline():
        ledger.flush()
    return Outcome(claimed, ledger.groups(), ring, undecided)


def _lock(
    conn: psycopg.Connection,
    ledger: Ledger,
    ends: list[Ended],
    frontier: LoadedFrontier,
    graphs: dict[UUID, Graph],
) -> set[UUID]:
    """Lock the free runs, then the leases that still hold, and read the successors: one trip."""
    keys = {key for ended in ends for key in successors(graphs[ended.run_id], ended)}
    leases = [[e.step_id for e in ends], [e.lease for e in ends]]
    with conn.pipeline(), conn.cursor() as held:
        ledger.ask_lock({ended.run_id for ended in ends})
        held.execute(sql.HELD_STEPS, leases)
        frontier.ask(keys)
        ledger.take_lock()
        frontier.take()
        return {row[0] for row in held.fetchall()}


def _sort(
    ends: Iterable[Ended], held: set[UUID], locked: dict[UUID, LockedRun]
) -> tuple[list[Ended], dict[UUID, list[Ended]]]:
    undecided, by_run = [], defaultdict(list)
    for ended in ends:
        if ended.step_id not in held:
            continue  # The lease is another's: a stale result changes nothing.
        if ended.run_id in locked:
            by_run[ended.run_id].append(ended)
        else:
            undecided.append(ended)
    return undecided, by_run


def remember(facts: Facts, ended: Ended) -> None:
    """Keep what other steps may read of an ended step."""
    if ended.retry_in_ms is None:
        key = (ended.run_id, ended.path, ended.node)
        facts.steps.put(key, StepFact(ended.status, ended.output, ended.error))


def render_output(
    conn: psycopg.Connection, facts: Facts, run: LockedRun, graph: Graph
) -> Any:
    """The run's output from the definition's `output`; missing paths are null."""
    if graph.output is None:
        return None
    context = facts.run(conn, run.id).expression_root()
    context["steps"] = facts.step_contexts(conn, run.id, "", graph.output.steps)
    return graph.output.render(context, missing="null")


def _take_ready(
    ledger: Ledger, take: Callable[[StepRow], bool], worker_id: UUID
) -> tuple[list[Claimed], dict[str, int]]:
    claimed, ring = [], defaultdict(int)
    for step in sorted(ledger.became_ready, key=lambda s: -ledger.runs[s.run_id].priority):
        run = ledger.runs[step.run_id]
        if run.status in ("running", "waiting") and take(step):
            ledger.take(step, lease=uuid7(), worker_id=worker_id)
            claimed.append(
                Claimed(step.id, step.run_id, step.path, step.node, step.lease, step.attempt, 0,
                        step.deps_taken, step.pool, run.project_id, False)
            )
        else:
            ring[step.queue] += 1
    return claimed, ring


def release_leases(conninfo: str, worker_id: UUID) -> int:
    """Put what a stopping worker still holds back into the queue at once; how many steps."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return conn.execute(sql.RELEASE_LEASES, [worker_id]).rowcount

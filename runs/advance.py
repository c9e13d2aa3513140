"""What follows from a step's end: edges are counted, steps become ready or are skipped, the run
ends. Works on a ledger, under the run's lock; knows no clock and no SQL of its own."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from uuid import UUID

from controlplane.kit.expressions import ExpressionError
from controlplane.kit.storable import problem
from runs.lifecycle import Ended, Ledger, LockedRun, StepRow
from runs.states import RunStatus, StepStatus
from workflows.graph import Graph

Key = tuple[UUID, str, str]  # run, path, node
MAX_RUN_OUTPUT_BYTES = 4 * 1024 * 1024


class Frontier(Protocol):
    """Step rows by key; loads what it does not have yet."""

    def get(self, keys: Iterable[Key]) -> dict[Key, StepRow]:
        """The rows of these steps; ones already seen are the same objects."""
        ...


def successors(graph: Graph, ended: Ended) -> list[Key]:
    """The steps an ended step has edges to."""
    return [(ended.run_id, ended.path, e.target) for e in graph.out[ended.node]]


def advance(ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier) -> None:
    """Record the end of one step and everything that follows, but not the end of the run."""
    ledger.end_step(run, ended)
    follow(ledger, run, graph, ended, frontier)


def follow(ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier) -> None:
    """What follows from a step whose end is written already."""
    if not ended.is_over or run.is_terminal:
        return
    if ended.is_fatal:
        error = {"step": str(ended.step_id), "node": ended.node, **(ended.error or {})}
        ledger.begin_end(run, RunStatus.FAILED, ended.reason or "step_failed", error)
        return
    if run.end_status:
        return
    _count_edges(ledger, run, graph, ended, frontier)


def _count_edges(
    ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier
) -> None:
    # A step that ended without deciding its edges takes none.
    outcomes = ended.edges or (False,) * len(graph.out[ended.node])
    open_ends: deque[tuple[str, tuple[bool, ...]]] = deque([(ended.node, outcomes)])
    while open_ends:
        node, outcomes = open_ends.popleft()
        edges = graph.out[node]
        rows = frontier.get([(run.id, ended.path, e.target) for e in edges])
        for edge, taken in zip(edges, outcomes, strict=True):
            step = rows[(run.id, ended.path, edge.target)]
            # A join "any" that has begun ignores later edges; its row is another's to write.
            if step.status != StepStatus.PENDING:
                continue
            step.deps_left -= 1
            step.deps_taken += taken
            joins_any = graph.nodes[step.node].join == "any"
            if (joins_any and taken) or (step.deps_left == 0 and step.deps_taken > 0):
                ledger.make_ready(run, step)
            elif step.deps_left == 0:
                ledger.skip(run, step)
                open_ends.append((step.node, (False,) * len(graph.out[step.node])))
            else:
                ledger.count_edge(step)


def settle(
    ledger: Ledger, run: LockedRun, graph: Graph, render_output: Callable[[LockedRun, Graph], Any]
) -> None:
    """End the run where no step is open any more."""
    settle_ending(ledger, run)
    if run.open_steps > 0 or run.is_terminal:
        return
    try:
        output = render_output(run, graph)
    except ExpressionError as exc:
        error = {"code": exc.code, "message": f"output: {exc.message}"}
        ledger.end_run(run, RunStatus.FAILED, exc.code, error=error)
        return
    if (fault := problem(output, MAX_RUN_OUTPUT_BYTES)) is not None:
        error = {"code": "output_not_storable", "message": f"The output cannot be stored: {fault}"}
        ledger.end_run(run, RunStatus.FAILED, error["code"], error=error)
        return
    ledger.end_run(run, RunStatus.SUCCEEDED, output=output)


def settle_ending(ledger: Ledger, run: LockedRun) -> None:
    """End a run that is to end otherwise than by its own output, where no step is open any more."""
    if run.end_status and run.open_steps <= 0 and not run.is_terminal:
        ledger.end_run(run, run.end_status, run.reason)

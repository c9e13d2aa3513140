"""What follows from a step's end: edges are counted, steps become ready or are skipped, the run
ends. Works on a ledger, under the run's lock; knows no clock and no SQL of its own."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from uuid import UUID

from controlplane.kit.expressions import ExpressionError
from controlplane.kit.storable import problem
from runs.bodies import Bodies
from runs.lifecycle import Ledger
from runs.placing import graph_at
from runs.rows import Ended, LockedRun, ScopeRow, StepRow, Under
from runs.states import RunStatus, ScopeStatus, StepStatus
from workflows.graph import Graph

Key = tuple[UUID, str, str]  # run, path, node
MAX_RUN_OUTPUT_BYTES = 4 * 1024 * 1024


class Frontier(Protocol):
    """Rows by key; loads what it does not have yet, and knows what the run was given."""

    def get(self, keys: Iterable[Key]) -> dict[Key, StepRow]:
        """The rows of these steps; ones already seen are the same objects."""
        ...

    def add(self, row: StepRow | ScopeRow) -> None:
        """A row that begins to exist."""
        ...

    def scope(self, run_id: UUID, path: str) -> ScopeRow:
        """The item or pass at a path."""
        ...

    def close(self, under: Under) -> None:
        """What is open below a place was cancelled."""
        ...

    def next_pending(self, container: StepRow, index: int) -> int | None:
        """The first item from `index` on that has not been opened."""
        ...

    def pins(self, run_id: UUID) -> dict[str, Any]:
        """What the run fixed at its start."""
        ...

    def output_of(self, run_id: UUID, path: str, body: Graph) -> Any:
        """The output of a body whose steps have ended. ExpressionError."""
        ...


def advance(ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier) -> None:
    """Record the end of one step and everything that follows, but not the end of the run. `graph`
    is the run's, whatever body the step lies in."""
    ledger.end_step(run, ended)
    follow(ledger, run, graph, ended, frontier)


def follow(ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier) -> None:
    """What follows from a step whose end is written already."""
    if run.is_terminal:
        return
    place = Bodies(ledger, run, graph, frontier)
    if not ended.is_over:
        if ended.spawn is not None and not run.end_status:
            place.open(ended, ended.spawn)
        return
    if ended.leaves_open:
        place.leave(ended)
    if ended.path and frontier.scope(run.id, ended.path).status != ScopeStatus.OPEN:
        return  # its item has failed, or its map has ended, without it
    if ended.is_fatal:
        error = {"step": str(ended.step_id), "node": ended.node, **(ended.error or {})}
        if ended.path:
            place.fail(ended.path, error)
        else:
            ledger.begin_end(run, RunStatus.FAILED, ended.reason or "step_failed", error)
    elif not run.end_status:
        skipped = _count_edges(ledger, run, graph_at(graph, ended.path), ended, frontier)
        if ended.path:
            place.count_down(ended.path, 1 + skipped)


def _count_edges(
    ledger: Ledger, run: LockedRun, graph: Graph, ended: Ended, frontier: Frontier
) -> int:
    """Decide the edges out of a step; how many steps were skipped for it."""
    # A step that ended without deciding its edges takes none.
    outcomes = ended.edges or (False,) * len(graph.out[ended.node])
    open_ends: deque[tuple[str, tuple[bool, ...]]] = deque([(ended.node, outcomes)])
    skipped = 0
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
                skipped += 1
                ledger.skip(run, step)
                open_ends.append((step.node, (False,) * len(graph.out[step.node])))
            else:
                ledger.count_edge(step)
    return skipped


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

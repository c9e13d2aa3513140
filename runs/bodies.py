"""What follows inside the bodies of maps and loops: items are opened, end, or fail their container.

A container is a step that waits, with the count of its items in its state; each item is a scope
with the count of its open steps. Both change under the guard of the run, like everything else.
"""

from typing import Any, Protocol
from uuid import UUID

from controlplane.kit.expressions import ExpressionError
from controlplane.kit.storable import problem
from runs.lifecycle import Ledger
from runs.placing import around, graph_at, scope_path, step_row
from runs.rows import Ended, LockedRun, ScopeRow, Spawn, StepRow, Under
from runs.states import ScopeStatus, StepStatus
from workflows.graph import Graph

MAX_ITEM_OUTPUT_BYTES = 4 * 1024 * 1024
Key = tuple[UUID, str, str]


class Rows(Protocol):
    """The part of a frontier that bodies need; see `runs.advance.Frontier`."""

    def get(self, keys: list[Key]) -> dict[Key, StepRow]: ...
    def add(self, row: StepRow | ScopeRow) -> None: ...
    def scope(self, run_id: UUID, path: str) -> ScopeRow: ...
    def close(self, under: Under) -> None: ...
    def next_pending(self, container: StepRow, index: int) -> int | None: ...
    def pins(self, run_id: UUID) -> dict[str, Any]: ...
    def output_of(self, run_id: UUID, path: str, body: Graph) -> Any: ...


class Bodies:
    """The bodies of one run, within one decision."""

    def __init__(self, ledger: Ledger, run: LockedRun, graph: Graph, rows: Rows) -> None:
        self.ledger = ledger
        self.run = run
        self.graph = graph
        self.rows = rows

    def open(self, ended: Ended, spawn: Spawn) -> None:
        """The items of a container begin to exist, and the bodies of the first of them."""
        container = self._container(ended.path, ended.node)
        container.status, container.lease, container.worker_id = StepStatus.WAITING, None, None
        container.state = ended.state
        opened = set(spawn.indexes())
        for index, words in enumerate(spawn.words, start=spawn.first):
            path = scope_path(ended.path, ended.node, index)
            status = ScopeStatus.DONE if index in spawn.kept else ScopeStatus.PENDING
            scope = ScopeRow(self.run.id, container.id, path, index, status, 0)
            scope.output = spawn.kept.get(index)
            self.ledger.add_scope(scope, words)
            if index in opened:
                self._begin(container, scope)

    def _begin(self, container: StepRow, scope: ScopeRow) -> None:
        """The steps of one item's body."""
        body = graph_at(self.graph, scope.path)
        scope.status, scope.open_steps = ScopeStatus.OPEN, len(body.nodes)
        self.rows.add(scope)
        self.ledger.change_scope(scope)
        pins = self.rows.pins(self.run.id)
        for node in body.nodes.values():
            row = step_row(
                node, body, run_id=self.run.id, pins=pins, priority=self.run.priority,
                path=scope.path, parent=container.id,
            )  # fmt: skip
            self.rows.add(self.ledger.open_step(self.run, row))

    def count_down(self, path: str, ended: int) -> None:
        """So many steps of an item have ended; with the last of them the item has."""
        scope = self.rows.scope(self.run.id, path)
        scope.open_steps -= ended
        self.ledger.change_scope(scope)
        if scope.open_steps > 0:
            return
        try:
            output = self.rows.output_of(self.run.id, path, graph_at(self.graph, path))
        except ExpressionError as exc:
            self.fail(path, {"code": exc.code, "message": f"output: {exc.message}"})
            return
        if (fault := problem(output, MAX_ITEM_OUTPUT_BYTES)) is not None:
            message = f"The output of the body cannot be stored: {fault}"
            self.fail(path, {"code": "output_not_storable", "message": message})
            return
        scope.status, scope.output = ScopeStatus.DONE, output
        container, state = self._counted(path, "done")
        if self._kind(path) == "loop":
            state["previous"] = output
        self._go_on(container, state, path)

    def fail(self, path: str, error: dict[str, Any]) -> None:
        """An item has failed: what else is open of it is cancelled. One failure more than the
        container allows ends the others too. Needs the run's lock where steps are open."""
        scope = self.rows.scope(self.run.id, path)
        if scope.open_steps > 0:
            self._close(Under(self.run.id, path, f"{path}."), "item_failed")
        scope.status, scope.error = ScopeStatus.FAILED, error
        self.ledger.change_scope(scope)
        container, state = self._counted(path, "failed")
        state.setdefault("error", {"index": scope.index, **error})
        if state["failed"] > state["allow"] and (state["open"] or state["next"] < state["total"]):
            outer, node, _ = around(path)
            self._close(self._all_of(outer, node), "item_failed")
            state["open"], state["next"] = 0, state["total"]
        self._go_on(container, state, path)

    def leave(self, ended: Ended) -> None:
        """A container has ended, by its timeout, while bodies were open."""
        self._close(self._all_of(ended.path, ended.node), ended.reason or "item_failed")

    def _all_of(self, path: str, node: str) -> Under:
        prefix = scope_path(path, node)
        return Under(self.run.id, prefix, prefix)

    def _close(self, under: Under, reason: str) -> None:
        self.ledger.close_under(self.run, under, reason)
        self.rows.close(under)

    def _counted(self, path: str, what: str) -> tuple[StepRow, dict[str, Any]]:
        outer, node, _ = around(path)
        container = self._container(outer, node)
        state = dict(container.state or {})
        state["open"] -= 1
        state[what] += 1
        return container, state

    def _go_on(self, container: StepRow, state: dict[str, Any], path: str) -> None:
        """The next item is opened; after the last, the container is worked on again."""
        index = state["next"] if state["next"] < state["total"] else None
        if index is not None and state["has_kept"]:
            index = self.rows.next_pending(container, index)
        if index is not None:
            outer, node, _ = around(path)
            next_path = scope_path(outer, node, index)
            scope = ScopeRow(self.run.id, container.id, next_path, index, ScopeStatus.PENDING, 0)
            self._begin(container, scope)
            state["next"], state["open"] = index + 1, state["open"] + 1
        else:
            state["next"] = state["total"]
        if state["open"] == 0:
            state["resumed"] = True
        self.ledger.change_container(self.run, container, state)
        if state["open"] == 0 and container.status == StepStatus.WAITING:
            self.ledger.make_ready(self.run, container)

    def _container(self, path: str, node: str) -> StepRow:
        key = (self.run.id, path, node)
        return self.rows.get([key])[key]

    def _kind(self, path: str) -> str:
        outer, node, _ = around(path)
        return graph_at(self.graph, outer).nodes[node].kind

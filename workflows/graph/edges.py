"""Faults of edges: dangling, doubled, and those that decisions and `on_error` ask for."""

from typing import Any

from workflows.graph.collector import Collector
from workflows.graph.model import MAX_EDGES
from workflows.graph.naming import Reader, Surroundings, check_condition
from workflows.graph.shape import Shape

_FIELDS = ("from", "to", "when")
_WORDS = ("fail", "continue")


class EdgeCheck:
    """The edges of one graph. Built first, so that order and ancestors can be known."""

    def __init__(
        self,
        found: Collector,
        graph: dict[str, Any],
        nodes: dict[str, dict[str, Any]],
        owner: str | None,
        prefix: str,
    ) -> None:
        self.found = found
        self.nodes = nodes
        self._owner = owner
        self._field = f"{prefix}edges"
        # Whether each pair has a `when`, and where it stands.
        self._given: dict[tuple[str, str], tuple[int, Any]] = {}
        self._read(graph.get("edges"))

    def _read(self, edges: Any) -> None:
        if edges is None:
            return
        if not isinstance(edges, list):
            self.found.add(self._owner, self._field, "type", "The edges are a list.")
            return
        if len(edges) > MAX_EDGES:
            message = f"A graph has at most {MAX_EDGES:,} edges."
            self.found.add(self._owner, self._field, "too_many_edges", message)
            return
        for number, edge in enumerate(edges):
            self._edge(number, edge)

    def _edge(self, number: int, edge: Any) -> None:
        place = f"{self._field}.{number}"
        if not isinstance(edge, dict):
            self.found.add(self._owner, place, "type", "An edge is an object with from and to.")
            return
        source, target = edge.get("from"), edge.get("to")
        node = source if isinstance(source, str) and source in self.nodes else self._owner
        for name in edge:
            if name not in _FIELDS:
                message = "An edge has from, to and when only."
                self.found.add(node, f"{place}.{name:.80}", "unknown_field", message)
        ends = True
        for name, end in (("from", source), ("to", target)):
            if end is None:
                self.found.add(node, f"{place}.{name}", "required", "This is the id of a step.")
            elif not isinstance(end, str) or end not in self.nodes:
                message = f"There is no step '{end!s:.80}' in this graph."
                self.found.add(node, f"{place}.{name}", "unknown_node", message)
            ends = ends and isinstance(end, str) and end in self.nodes
        if not ends:
            return
        if (source, target) in self._given:
            message = f"There is another edge from '{source}' to '{target}'."
            self.found.add(node, place, "duplicate_edge", message)
        else:
            self._given[(str(source), str(target))] = (number, edge.get("when"))

    def pairs(self) -> list[tuple[str, str]]:
        """Every way from step to step, those on failure included where they lead forward."""
        given = list(self._given)
        before = Shape(list(self.nodes), given)
        if before.cycle:
            return given
        for source, node in self.nodes.items():
            target = node.get("on_error")
            if self._is_target(target):
                if target == source or before.is_ancestor(source, str(target)):
                    message = f"'{target}' comes before this step; a failure cannot lead back."
                    self.found.add(source, "on_error", "leads_back", message)
                else:
                    given.append((source, str(target)))
        return given

    def _is_target(self, value: Any) -> bool:
        return isinstance(value, str) and value not in _WORDS and value in self.nodes

    def check(self, shape: Shape, around: Surroundings) -> None:
        """Report what is wrong with conditions of edges and with targets of failures."""
        for (source, _), (number, when) in self._given.items():
            place = f"{self._field}.{number}.when"
            if when is None:
                continue
            if self.nodes[source].get("kind") == "decision":
                message = "An edge of a decision has no when; its cases choose."
                self.found.add(source, place, "conditional_edge", message)
            reader = Reader(shape, around, source, own=True)
            check_condition(self.found, source, place, when, reader)
        for source, node in self.nodes.items():
            target = node.get("on_error")
            if isinstance(target, str) and target not in _WORDS and target not in self.nodes:
                message = f"This is fail, continue or the id of a step, not '{target:.80}'."
                self.found.add(source, "on_error", "unknown_node", message)

    def check_choice(self, source: str, place: str, target: str) -> None:
        """Report where a decision chooses a step it has no edge to."""
        if target not in self.nodes:
            message = f"There is no step '{target:.80}' in this graph."
            self.found.add(source, place, "unknown_node", message)
        elif (source, target) not in self._given:
            message = f"There is no edge from '{source}' to '{target}'."
            self.found.add(source, place, "missing_edge", message)

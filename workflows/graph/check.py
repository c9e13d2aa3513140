"""Everything that can be wrong with a definition, found at once and never by an exception."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from controlplane.kit import schemas, storable
from controlplane.kit.expressions import MAX_DEPTH, ExpressionError, compile_template
from workflows.graph import calls
from workflows.graph.catalogue import Catalogue
from workflows.graph.collector import Collector
from workflows.graph.edges import EdgeCheck
from workflows.graph.model import (
    DEFAULT_INPUT_SCHEMA,
    MAX_DEFINITION_BYTES,
    MAX_NESTING,
    MAX_NODES,
    Fault,
)
from workflows.graph.naming import Reader, Surroundings, explain, wrong_names
from workflows.graph.nodes import NodeCheck, split_nodes
from workflows.graph.shape import Shape

MAX_EXPRESSIONS = 20_000
_FIELDS = ("input_schema", "nodes", "edges", "output")
_BODY_FIELDS = ("nodes", "edges", "output")


def check(definition: Any, catalogue: Catalogue | None = None, slug: str = "") -> list[Fault]:
    """The faults of a definition, none if it can run. `catalogue` answers for tools, agents and
    other workflows (without one they are not looked at); `slug` is the workflow's own, to find a
    cycle of workflows."""
    found = Collector()
    if not isinstance(definition, dict):
        found.add(None, "", "type", "A definition is an object with nodes and edges.")
    elif fault := storable.problem(definition, MAX_DEFINITION_BYTES):
        found.add(None, "", "not_storable", fault)
    elif orjson.dumps(definition).count(b"${") > MAX_EXPRESSIONS:
        found.add(None, "", "too_many_expressions", "There are more than 20,000 expressions.")
    elif count_nodes(definition) > MAX_NODES:
        message = f"A graph has at most {MAX_NODES:,} steps, those of bodies included."
        found.add(None, "nodes", "too_many_nodes", message)
    else:
        _Check(found, catalogue, slug).definition(definition)
    return found.faults


def count_nodes(graph: Any, nesting: int = 0) -> int:
    """All steps of a graph and its bodies; counting ends beyond the limits."""
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or nesting > MAX_NESTING + 1:
        return 0
    total = len(nodes)
    for node in nodes[: MAX_NODES + 1]:
        if isinstance(node, dict) and isinstance(node.get("body"), dict):
            total += count_nodes(node["body"], nesting + 1)
    return total


class _Check:
    def __init__(self, found: Collector, catalogue: Catalogue | None, slug: str) -> None:
        self.found = found
        self.calls = calls.CallCheck(catalogue, slug) if catalogue is not None else None

    def definition(self, definition: dict[str, Any]) -> None:
        schema = definition.get("input_schema", DEFAULT_INPUT_SCHEMA)
        for problem in schemas.schema_faults(schema, "input_schema"):
            self.found.add(None, problem.field, problem.code, problem.message)
        self._graph(definition, Surroundings(), owner=None, nesting=0)

    def _graph(
        self, graph: dict[str, Any], around: Surroundings, owner: str | None, nesting: int
    ) -> None:
        prefix = "" if owner is None else "body."
        known = _FIELDS if owner is None else _BODY_FIELDS
        for name in graph:
            if name not in known:
                message = f"This has {', '.join(known)} only."
                self.found.add(owner, f"{prefix}{name:.80}", "unknown_field", message)
        nodes = split_nodes(self.found, graph, around, owner, prefix)
        edges = EdgeCheck(self.found, graph, nodes, owner, prefix)
        shape = Shape(list(nodes), edges.pairs())
        if shape.cycle:
            message = f"A cycle: {' → '.join(shape.cycle[:20])}. Repetition is a loop step."
            self.found.add(shape.cycle[0], f"{prefix}edges", "cycle", message)
        edges.check(shape, around)
        for node_id, node in nodes.items():
            if self.found.is_full:
                return
            self._node(node_id, node, Reader(shape, around, node_id), edges, nesting)
        if (output := graph.get("output")) is not None:
            field = f"{prefix}output"
            self._template(owner, field, output, Reader(shape, around))

    def _node(
        self,
        node_id: str,
        node: dict[str, Any],
        reader: Reader,
        edges: EdgeCheck,
        nesting: int,
    ) -> None:
        one = NodeCheck(self.found, node_id, node)
        for name in one.check_fields():
            self._template(node_id, name, node[name], reader)
        one.check_conditions(reader, edges)
        if self.calls is not None:
            for place, code, message in self.calls.problems(node):
                self.found.add(node_id, place, code, message)
        body = node.get("body")
        if node.get("kind") not in ("map", "loop") or not isinstance(body, dict):
            return
        if nesting >= MAX_NESTING:
            message = f"Bodies are nested at most {MAX_NESTING} deep."
            self.found.add(node_id, "body", "too_deep", message)
            return
        self._graph(body, _inside(node, reader), owner=node_id, nesting=nesting + 1)

    def _template(self, node: str | None, field: str, value: Any, reader: Reader) -> None:
        for place, text in _texts(value, field, 0):
            if text is None:
                message = f"This is nested deeper than {MAX_DEPTH}."
                self.found.add(node, field, "too_deep", message)
                return
            try:
                template = compile_template(text)
            except ExpressionError as error:
                self.found.add(node, place, *explain(error))
                continue
            for _, expression in template.expressions:
                for code, message in wrong_names(expression, reader):
                    self.found.add(node, place, code, message)


def _texts(value: Any, place: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """The texts with expressions and their places; None for the text where it nests too deep."""
    if depth > MAX_DEPTH:
        yield place, None
    elif isinstance(value, str):
        if "${" in value:
            yield place, value
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, str | dict | list):
                yield from _texts(item, f"{place}.{key}", depth + 1)


def _inside(node: Mapping[str, Any], reader: Reader) -> Surroundings:
    words = {"item", "index"} if node["kind"] == "map" else {"previous", "index"}
    around, shape = reader.around, reader.shape
    before = (step for step in shape.numbers if step != reader.node and reader.sees(step))
    return Surroundings(
        steps=around.steps | frozenset(before),
        ids=around.ids | frozenset(shape.numbers),
        words=around.words | words,
    )

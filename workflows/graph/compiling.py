"""A checked definition into a Graph the engine works with, once per version."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from controlplane.kit.expressions import (
    Condition,
    ExpressionError,
    Template,
    compile_condition,
    compile_template,
)
from workflows.graph.kinds import KINDS, Field, fields_of
from workflows.graph.model import DEFAULT_INPUT_SCHEMA, Edge, Graph, GraphError, Node, Retry
from workflows.graph.shape import Shape

MAX_CACHED_STEPS = 10_000
_OWN = {
    kind: [(name, field) for name, field in fields.items()] for kind, fields in KINDS.items()
}  # fmt: skip


def compile_graph(definition: Any) -> Graph:
    """The graph of a definition in which `check` finds no fault; GraphError for another one."""
    try:
        return _graph(definition)
    except ExpressionError as error:
        raise GraphError(f"A bad expression: {error.message}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise GraphError(f"The definition has faults: {error!r:.200}") from error


def _graph(definition: dict[str, Any]) -> Graph:
    raw = {node["id"]: node for node in definition["nodes"]}
    out: dict[str, list[Edge]] = {node: [] for node in raw}
    into: dict[str, list[Edge]] = {node: [] for node in raw}
    edges = [_edge(edge) for edge in definition.get("edges") or ()]
    edges += [
        Edge(node_id, node["on_error"], on_error=True)
        for node_id, node in raw.items()
        if node.get("on_error") not in (None, "fail", "continue")
    ]
    for edge in edges:
        out[edge.source].append(edge)
        into[edge.target].append(edge)
    shape = Shape(list(raw), [(edge.source, edge.target) for edge in edges])
    if shape.cycle:
        raise GraphError("The definition has a cycle.")
    nodes = {
        node_id: _node(index, node, out[node_id])
        for index, (node_id, node) in enumerate(raw.items())
    }
    output = definition.get("output")
    template = None if output is None else compile_template(output)
    schema = definition.get("input_schema")
    return Graph(
        nodes=nodes,
        order=tuple(shape.order),
        out={node: tuple(found) for node, found in out.items()},
        into={node: tuple(found) for node, found in into.items()},
        output=template,
        input_schema=DEFAULT_INPUT_SCHEMA if schema is None else schema,
        references=_outside(nodes, template),
    )


def _edge(edge: dict[str, Any]) -> Edge:
    when = edge.get("when")
    return Edge(edge["from"], edge["to"], None if when is None else compile_condition(when))


def _node(index: int, node: dict[str, Any], out: list[Edge]) -> Node:
    kind, node_id = node["kind"], node["id"]
    known = fields_of(kind)
    fields = {name: _given(node, name, field) for name, field in _OWN[kind]}
    templates = {
        name: compile_template(fields[name])
        for name, field in _OWN[kind]
        if field.template and (fields[name] is not None or field.takes_null)
    }
    conditions = _conditions(kind, fields)
    asked = [edge.when for edge in out if edge.when is not None]
    read: set[str] = set()
    for template in templates.values():
        read |= template.steps
    for condition in (*conditions, *asked):
        read |= condition.steps
    body = _graph(fields["body"]) if "body" in known else None
    return Node(
        id=node_id,
        kind=kind,
        # A signal's name is what it waits for, not what it is called.
        name="" if kind == "signal" else node.get("name") or "",
        index=index,
        join=_given(node, "join", known["join"]),
        retry=_retry(node.get("retry")),
        timeout_seconds=node.get("timeout_seconds"),
        on_error=_given(node, "on_error", known["on_error"]),
        fields=fields,
        templates=templates,
        conditions=conditions,
        body=body,
        references=frozenset(read - {node_id}),
        is_asked_about=any(node_id in when.steps for when in asked),
    )


def _given(node: dict[str, Any], name: str, field: Field) -> Any:
    value = node.get(name, field.default)
    return field.default if value is None and not field.takes_null else value


def _conditions(kind: str, fields: dict[str, Any]) -> tuple[Condition, ...]:
    if kind == "decision":
        return tuple(compile_condition(case["when"]) for case in fields["cases"])
    return (compile_condition(fields["while"]),) if kind == "loop" else ()


def _retry(given: dict[str, Any] | None) -> Retry:
    chosen = {name: value for name, value in (given or {}).items() if value is not None}
    return Retry(**chosen)


def _outside(nodes: dict[str, Node], output: Template | None) -> frozenset[str]:
    read = set(output.steps) if output else set()
    for node in nodes.values():
        read |= node.references
        if node.body is not None:
            read |= node.body.references
    return frozenset(read - nodes.keys())


def _weight(graph: Graph) -> int:
    return sum(1 + (_weight(node.body) if node.body else 0) for node in graph.nodes.values())


class GraphCache:
    """The graphs used last, by key, of at most so many steps in all (a step takes up to 8 KB)."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._held = 0
        self._graphs: OrderedDict[Hashable, tuple[Graph, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, definition: Callable[[], Any]) -> Graph:
        """The graph of that key, compiled from what `definition` gives if it is not known."""
        with self._lock:
            known = self._graphs.get(key)
            if known is not None:
                self._graphs.move_to_end(key)
                return known[0]
        # Not under the lock: it may read the database. Compiling twice does no harm.
        graph = compile_graph(definition())
        with self._lock:
            return self._keep(key, graph)

    def _keep(self, key: Hashable, graph: Graph) -> Graph:
        if key not in self._graphs:
            self._graphs[key] = (graph, _weight(graph))
            self._held += self._graphs[key][1]
        while self._held > self._steps and len(self._graphs) > 1:
            self._held -= self._graphs.popitem(last=False)[1][1]
        return self._graphs[key][0]


_cache = GraphCache(MAX_CACHED_STEPS)


def compile_cached(key: Hashable, definition: Any) -> Graph:
    """The compiled graph of a version, kept in this process. `key` names an unchanging definition;
    `definition` is that, or a function that fetches it, called only when it is needed."""
    return _cache.get(key, definition if callable(definition) else lambda: definition)

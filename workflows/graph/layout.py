"""Where the editor draws the steps, taken out of a definition and put back."""

from collections.abc import Iterator, Mapping
from typing import Any

Layout = dict[str, dict[str, Any]]


def split_layout(definition: dict[str, Any]) -> tuple[dict[str, Any], Layout]:
    """The definition without positions, and the positions by place: `m`, in a body `m/k`."""
    layout: Layout = {}
    return _graph_without(definition, "", layout), layout


def _graph_without(graph: dict[str, Any], prefix: str, layout: Layout) -> dict[str, Any]:
    nodes = graph.get("nodes")
    if not isinstance(nodes, list):
        return graph
    return {**graph, "nodes": [_node_without(node, prefix, layout) for node in nodes]}


def _node_without(node: Any, prefix: str, layout: Layout) -> Any:
    if not isinstance(node, dict):
        return node
    place = f"{prefix}{node.get('id')}"
    kept = node
    # A position that is no object is a fault of the definition and stays in it.
    if isinstance(node.get("position"), dict) and isinstance(node.get("id"), str):
        kept = {name: value for name, value in node.items() if name != "position"}
        layout[place] = node["position"]
    if isinstance(node.get("body"), dict):
        kept = {**kept, "body": _graph_without(node["body"], f"{place}/", layout)}
    return kept


def with_layout(definition: Any, layout: Mapping[str, Any], prefix: str = "") -> Any:
    """The definition with its positions again."""
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    if not layout or not isinstance(nodes, list):
        return definition
    return {**definition, "nodes": [_node_with(node, layout, prefix) for node in nodes]}


def _node_with(node: Any, layout: Mapping[str, Any], prefix: str) -> Any:
    if not isinstance(node, dict):
        return node
    place = f"{prefix}{node.get('id')}"
    drawn = {**node, "position": layout[place]} if place in layout else node
    if isinstance(node.get("body"), dict):
        drawn = {**drawn, "body": with_layout(node["body"], layout, f"{place}/")}
    return drawn


def all_nodes(definition: Any) -> Iterator[dict[str, Any]]:
    """Every step of a definition that may have faults, those in bodies included."""
    graphs = [definition]
    while graphs:
        graph = graphs.pop()
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            if isinstance(node, dict):
                yield node
                graphs.append(node.get("body"))


def uses_of(definition: Any) -> list[str]:
    """What the steps call: `tool:<slug>`, `agent:<slug>`, `workflow:<slug>`, each once."""
    found = {
        f"{kind}:{node[kind]}"
        for node in all_nodes(definition)
        if isinstance(kind := node.get("kind"), str)
        and kind in ("tool", "agent", "workflow")
        and isinstance(node.get(kind), str)
        and 0 < len(node[kind]) <= 63
    }
    return sorted(found)

"""What changed between two definitions: steps and edges by name, and every field."""

from collections.abc import Mapping
from typing import Any, TypedDict

from agents.comparison import Change, compare


class Names(TypedDict):
    """Names by what became of them."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class Difference(TypedDict):
    """The difference as a graph (`nodes`, `edges`) and as JSON (`changes`, paths by name)."""

    nodes: Names
    edges: Names
    changes: list[Change]


def difference(before: Any, after: Any) -> Difference:
    """The difference of two definitions; steps are compared by id, edges by their ends."""
    old, new = _named(before), _named(after)
    return Difference(
        nodes=_names(old.get("nodes"), new.get("nodes")),
        edges=_names(old.get("edges"), new.get("edges")),
        changes=compare(old, new),
    )


def _named(graph: Any) -> dict[str, Any]:
    """The definition with its lists of steps and edges as objects by name."""
    if not isinstance(graph, dict):
        return {}
    named = dict(graph)
    nodes, edges = graph.get("nodes"), graph.get("edges")
    if isinstance(nodes, list):
        named["nodes"] = {_name(node, "id", n): _node(node) for n, node in enumerate(nodes)}
    if isinstance(edges, list):
        named["edges"] = {_edge_name(edge, n): edge for n, edge in enumerate(edges)}
    return named


def _name(part: Any, key: str, number: int) -> str:
    name = part.get(key) if isinstance(part, dict) else None
    return name if isinstance(name, str) else f"#{number}"


def _edge_name(edge: Any, number: int) -> str:
    return f"{_name(edge, 'from', number)} → {_name(edge, 'to', number)}"


def _node(node: Any) -> Any:
    if isinstance(node, dict) and isinstance(node.get("body"), dict):
        return {**node, "body": _named(node["body"])}
    return node


def _names(before: Any, after: Any) -> Names:
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    return Names(
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        changed=[name for name in new if name in old and new[name] != old[name]],
    )

"""Where a step of a graph is worked on, and the row it begins as. Pure."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from controlplane.kit.ids import uuid7
from runs.states import StepStatus
from workflows.graph import Graph, Node

SHARED_QUEUE = "shared"
# Kinds that are over in microseconds: they take no slot from steps that are not.
INLINE_KINDS = frozenset({"transform", "decision", "fail", "wait", "form", "loop"})


def place(node: Node, pins: Mapping[str, Any]) -> dict[str, Any]:
    """{queue, pool, tool, agent} of a node, given a run's `pins`."""
    if node.kind == "tool":
        pinned = pins["tools"][node.fields["tool"]]
        return {
            "queue": SHARED_QUEUE, "pool": pinned["pool"], "tool": pinned["tool"], "agent": None,
        }  # fmt: skip
    if node.kind == "agent":
        pinned = pins["agents"][node.fields["agent"]]
        return {"queue": pinned["queue"], "pool": "io", "tool": None, "agent": pinned["agent"]}
    pool = "inline" if node.kind in INLINE_KINDS else "cpu"
    return {"queue": SHARED_QUEUE, "pool": pool, "tool": None, "agent": None}


def step_row(
    node: Node,
    graph: Graph,
    *,
    run_id: UUID,
    pins: Mapping[str, Any],
    priority: int,
    path: str = "",
    parent: UUID | None = None,
) -> dict[str, Any]:
    """A new step as the writing statements take it; ready where nothing comes before it."""
    incoming = len(graph.into[node.id])
    return {
        "id": uuid7(), "run": run_id, "node": node.id, "path": path, "position": node.index,
        "kind": node.kind, "name": node.name or node.id, "left": incoming, "taken": 0,
        "priority": priority, "parent": parent,
        "status": StepStatus.READY if incoming == 0 else StepStatus.PENDING,
        **place(node, pins),
    }  # fmt: skip


def graph_at(graph: Graph, path: str) -> Graph:
    """The graph a path lies in: the definition's own for "", a body for `m[3]` or `m[3].k[0]`."""
    for part in path.split(".") if path else ():
        body = graph.nodes[part.split("[", 1)[0]].body
        if body is None:
            raise LookupError(f"{path} is no place of this graph")
        graph = body
    return graph


def levels(path: str) -> list[str]:
    """The path and those around it, from the outermost: "", `m[3]`, `m[3].k[0]`."""
    found, at = [""], ""
    for part in path.split(".") if path else ():
        at = f"{at}.{part}" if at else part
        found.append(at)
    return found


def path_of(graph: Graph, path: str, node_id: str) -> str:
    """The level at which a step seen from `path` lies: ids of bodies differ from outer ones."""
    for level in reversed(levels(path)):
        if node_id in graph_at(graph, level).nodes:
            return level
    return ""


def scope_path(path: str, node_id: str, index: int | None = None) -> str:
    """The path of one item of a container; what all of its items begin with, without an index."""
    own = f"{node_id}[" if index is None else f"{node_id}[{index}]"
    return f"{path}.{own}" if path else own


def around(path: str) -> tuple[str, str, int]:
    """(path, node, index) of the container a scope's path lies in."""
    outer, _, own = path.rpartition(".")
    node, _, index = own.rstrip("]").partition("[")
    return outer, node, int(index)

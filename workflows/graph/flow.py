"""Which edges are taken once a step has ended, and what a decision chooses."""

from collections.abc import Mapping
from typing import Any

from workflows.graph.model import Edge, Graph, Node

_NOT_TAKEN = frozenset(("skipped", "cancelled"))


def edge_outcomes(
    graph: Graph, node_id: str, status: str, output: Any, context: Mapping[str, Any]
) -> dict[Edge, bool]:
    """For each outgoing edge whether it is taken, in the order of `graph.out`. `status` is how the
    step ended for good: succeeded, failed, skipped or cancelled. `context` shows the step itself
    under `steps`, with output null after a failure. ExpressionError where a `when` cannot be
    evaluated: then the step itself has failed."""
    node, edges = graph.nodes[node_id], graph.out[node_id]
    failed = status == "failed"
    if status in _NOT_TAKEN or (failed and node.on_error == "fail"):
        return dict.fromkeys(edges, False)
    if failed and node.on_error != "continue":
        return {edge: edge.on_error for edge in edges}
    return {edge: not edge.on_error and _follows(node, edge, output, context) for edge in edges}


def _follows(node: Node, edge: Edge, output: Any, context: Mapping[str, Any]) -> bool:
    if node.kind == "decision":
        return isinstance(output, Mapping) and output.get("to") == edge.target
    return edge.when is None or edge.when.evaluate(context)


def choose(node: Node, context: Mapping[str, Any]) -> str | None:
    """The step a decision leads to: that of the first case that holds, else the default.
    ExpressionError where a condition cannot be evaluated."""
    for case, condition in zip(node.fields["cases"], node.conditions, strict=True):
        if condition.evaluate(context):
            return str(case["to"])
    return node.fields["default"]

"""Workflow definitions as pure values: checked, compiled, followed. No ORM, no clock."""

from workflows.graph.catalogue import AgentInfo, Catalogue, ToolInfo, WorkflowInfo
from workflows.graph.check import check
from workflows.graph.compiling import compile_cached, compile_graph
from workflows.graph.flow import choose, edge_outcomes
from workflows.graph.hashing import definition_sha256
from workflows.graph.kinds import KINDS
from workflows.graph.model import (
    MAX_NODES,
    Edge,
    Fault,
    Graph,
    GraphError,
    Node,
    Retry,
)
from workflows.graph.rendering import render_field, render_fields

__all__ = [
    "KINDS",
    "MAX_NODES",
    "AgentInfo",
    "Catalogue",
    "Edge",
    "Fault",
    "Graph",
    "GraphError",
    "Node",
    "Retry",
    "ToolInfo",
    "WorkflowInfo",
    "check",
    "choose",
    "compile_cached",
    "compile_graph",
    "definition_sha256",
    "edge_outcomes",
    "render_field",
    "render_fields",
]

"""What a project's definitions may name, read from its rows."""

from functools import cached_property
from typing import Any
from uuid import UUID

from agents.models import Agent
from tools.models import Tool
from workflows.graph import AgentInfo, ToolInfo, WorkflowInfo
from workflows.models import Workflow


def called_workflows(definition: Any) -> frozenset[str]:
    """The slugs of the workflows a definition starts, those in bodies included."""
    found: set[str] = set()
    open_graphs = [definition]
    while open_graphs:
        graph = open_graphs.pop()
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            if not isinstance(node, dict):
                continue
            if node.get("kind") == "workflow" and isinstance(node.get("workflow"), str):
                found.add(node["workflow"])
            if "body" in node:
                open_graphs.append(node["body"])
    return frozenset(found)


class ProjectCatalogue:
    """The tools, agents and workflows of one project, each kind read once when first asked."""

    def __init__(self, project_id: UUID) -> None:
        self.project_id = project_id

    def tool(self, slug: str) -> ToolInfo | None:
        """The tool of that slug."""
        return self._tools.get(slug)

    def agent(self, slug: str) -> AgentInfo | None:
        """The agent of that slug."""
        return AgentInfo(slug) if slug in self._agents else None

    def workflow(self, slug: str) -> WorkflowInfo | None:
        """The workflow of that slug."""
        return self._workflows.get(slug)

    @cached_property
    def _tools(self) -> dict[str, ToolInfo]:
        rows = Tool.objects.filter(project_id=self.project_id, deleted_at=None)
        pairs = rows.exclude(current=None).values_list("slug", "current__input_schema")
        return {slug: ToolInfo(slug, schema) for slug, schema in pairs}

    @cached_property
    def _agents(self) -> set[str]:
        rows = Agent.objects.filter(project_id=self.project_id, deleted_at=None)
        return set(rows.values_list("slug", flat=True))

    @cached_property
    def _workflows(self) -> dict[str, WorkflowInfo]:
        rows = Workflow.objects.filter(project_id=self.project_id, deleted_at=None)
        found = {}
        for workflow in rows.select_related("released", "head"):
            version = workflow.released or workflow.head
            definition = version.definition if version else {}
            schema = definition.get("input_schema") if isinstance(definition, dict) else None
            found[workflow.slug] = WorkflowInfo(workflow.slug, schema, called_workflows(definition))
        return found

"""What a project's definitions may name, read from its rows."""

from functools import cached_property
from uuid import UUID

from agents.models import Agent
from tools.models import Tool
from workflows.graph import AgentInfo, ToolInfo, WorkflowInfo
from workflows.models import Workflow


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
        # Only the schema is read of each definition: there may be many, and large ones.
        for slug, released, head, released_uses, head_uses in rows.values_list(
            "slug", "released__definition__input_schema", "head__definition__input_schema",
            "released__uses", "head__uses",
        ):  # fmt: skip
            uses = head_uses if released_uses is None else released_uses
            schema = head if released_uses is None else released
            calls = (use.removeprefix("workflow:") for use in uses or () if use.startswith("w"))
            found[slug] = WorkflowInfo(slug, schema, frozenset(calls))
        return found

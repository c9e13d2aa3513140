"""Answers tools that are agents (`tools.kinds.agent.Directory`)."""

from typing import Any
from uuid import UUID

from agents.as_tool import check_asked
from agents.models import Agent, Kind
from agents.talking import Talk, spec_of_slug
from tools.calls import ToolError
from tools.models import Tool


class Agents:
    """The agents of projects, as the kind `agent` of tools asks for them."""

    def check(self, project: Any, slug: str, tool: Tool | None) -> None:
        """InvalidInput where the project has no such model agent, or it would call itself."""
        check_asked(project, slug, tool)

    def choices(self, project: Any) -> list[tuple[str, str]]:
        """(slug, name) of the model agents of a project."""
        rows = Agent.objects.alive().filter(project=project, kind=Kind.MODEL).order_by("name")
        return list(rows.values_list("slug", "name"))

    def talk(self, project_id: UUID, slug: str, actor: Any) -> Talk:
        """The agent ready to work in the test console; ToolError where it cannot be asked."""
        spec = spec_of_slug(project_id, slug)
        if spec is None:
            message = f"This project has no agent {slug} that can be asked."
            raise ToolError(message, code="agent_missing")
        return Talk(spec, actor, "console")


directory = Agents()

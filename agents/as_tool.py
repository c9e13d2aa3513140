"""Agents as tools: who may be asked, by whom, and that nobody ends up asking themselves."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from agents.models import Agent, Kind
from controlplane.kit.errors import InvalidInput
from tools.kinds import agent as agent_kind
from tools.models import Kind as ToolKind
from tools.models import Tool


def check_asked(project: Any, slug: str, tool: Tool | None) -> None:
    """InvalidInput where the project has no such model agent, or where it would call itself by way
    of `tool`."""
    agent = Agent.objects.alive().filter(project=project, slug=slug).first()
    if agent is None:
        message = f"This project has no agent {slug}."
        raise InvalidInput.of("config.agent", message, "does_not_exist")
    if agent.kind != Kind.MODEL:
        message = f"{slug} is a {agent.kind} agent; only model agents can be tools."
        raise InvalidInput.of("config.agent", message, "agent_kind_unsupported")
    if tool is not None and (circle := _way(agent, {tool.slug}, _asked(project.pk))):
        message = f"{slug} would end up asking itself: {' → '.join(circle)}."
        raise InvalidInput.of("config.agent", message, "cycle")


def check_tools(agent: Agent, slugs: Iterable[str]) -> None:
    """InvalidInput where an agent that has these tools would end up asking itself."""
    asked = _asked(agent.project_id)
    for tool in slugs:
        if tool not in asked:
            continue
        other = Agent.objects.alive().filter(project=agent.project_id, slug=asked[tool]).first()
        circle = [agent.slug] if other == agent else None
        if other is not None and other != agent:
            circle = _way(other, {t for t, a in asked.items() if a == agent.slug}, asked)
        if circle:
            message = f"By {tool} the agent would end up asking itself: {' → '.join(circle)}."
            raise InvalidInput.of("config.tools", message, "cycle")


def tools_asking(agent: Agent) -> list[str]:
    """The tools that ask an agent, in words."""
    tools = Tool.objects.alive().filter(
        project=agent.project_id, kind=ToolKind.AGENT, current__config__agent=agent.slug
    )
    return [f"the tool {name}" for name in tools.order_by("name").values_list("name", flat=True)]


def _asked(project_id: UUID) -> dict[str, str]:
    """Of each tool that is an agent, the agent; by slugs."""
    tools = Tool.objects.alive().filter(project=project_id, kind=ToolKind.AGENT)
    return dict(tools.values_list("slug", "current__config__agent"))


def _way(start: Agent, goals: set[str], asked: dict[str, str]) -> list[str]:
    """The agents from `start` to one that has a tool of `goals`; empty where there is no way."""
    rows = Agent.objects.alive().filter(project=start.project_id, kind=Kind.MODEL)
    tools = {row.slug: row.config.get("tools") or [] for row in rows.select_related("current")}
    open_ends, seen = [[start.slug]], {start.slug}
    while open_ends:
        way = open_ends.pop()
        for tool in tools.get(way[-1], ()):
            if tool in goals:
                return [*way, start.slug] if way[-1] != start.slug else way
            following = asked.get(tool)
            if following and following not in seen:
                seen.add(following)
                open_ends.append([*way, following])
    return []


def register() -> None:
    """Answer for agents where a tool is one."""
    agent_kind.register("agents.directory.directory")

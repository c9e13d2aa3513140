"""Fixing what a run will use: versions of tools, agents and sub-workflows, and where steps run.

Plain SQL, for it is on the way of every start.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

from controlplane.kit.database import query
from controlplane.kit.errors import DomainError
from projects.models import Environment
from runs import statements as sql
from runs.placing import SHARED_QUEUE
from runs.steps import KINDS
from tools.kinds import kind as tool_kind
from workflows.graph import Graph, Node


def all_nodes(graph: Graph) -> Iterable[Node]:
    """The steps of a graph and of its bodies."""
    for node in graph.nodes.values():
        yield node
        if node.body is not None:
            yield from all_nodes(node.body)


@lru_cache(maxsize=1_000)
def named(graph: Graph) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """(tools, agents, workflows) a graph names, by slug."""
    found: dict[str, set[str]] = {"tool": set(), "agent": set(), "workflow": set()}
    for node in all_nodes(graph):
        if node.kind in found:
            found[node.kind].add(node.fields[node.kind])
    return frozenset(found["tool"]), frozenset(found["agent"]), frozenset(found["workflow"])


@lru_cache(maxsize=1_000)
def kinds(graph: Graph) -> frozenset[str]:
    """The kinds of its steps, those of bodies included."""
    return frozenset(node.kind for node in all_nodes(graph))


def pin(
    graph: Graph, *, project_id: UUID, environment: Environment, agent_id: UUID | None = None
) -> dict[str, Any]:
    """The `pins` of a run: slug → version, and where a step of it is worked on. `agent_id` takes
    the place of every agent the graph names. DomainError (409) where something is gone, switched
    off, or not deployed to a protected environment."""
    if missing := kinds(graph) - KINDS.keys():
        names = ", ".join(sorted(missing))
        raise DomainError(f"Steps of this kind cannot run yet: {names}.", code="kind_unsupported")
    tools, agents, workflows = named(graph)
    pinned_agents, their_tools = _agents(project_id, agents, agent_id, environment)
    pinned_tools = _tools(project_id, tools | their_tools)
    _pin_asked(project_id, environment, pinned_tools, pinned_agents)
    return {
        "tools": pinned_tools,
        "agents": pinned_agents,
        "workflows": _workflows(project_id, workflows),
    }


def _pin_asked(
    project_id: UUID, environment: Environment, tools: dict[str, Any], agents: dict[str, Any]
) -> None:
    """Pin the agents that tools ask, their tools, the agents those ask, and so on."""
    while asked := frozenset(t["asks"] for t in tools.values() if "asks" in t) - agents.keys():
        more, their_tools = _agents(project_id, asked, None, environment)
        agents |= more
        tools |= _tools(project_id, their_tools - tools.keys())


@lru_cache(maxsize=5_000)
def _pool(version_id: UUID, kind: str) -> str:
    config = query(sql.TOOL_CONFIG, [version_id])[0][0]
    return str(tool_kind(kind).pool(config))


@lru_cache(maxsize=1_000)
def _asked(version_id: UUID) -> str:
    """The agent that a tool of kind agent asks."""
    return str(query(sql.TOOL_CONFIG, [version_id])[0][0]["agent"])


def _tools(project_id: UUID, slugs: frozenset[str]) -> dict[str, Any]:
    if not slugs:
        return {}
    found = {}
    rows = query(sql.PIN_TOOLS, [project_id, list(slugs)])
    for slug, tool_id, status, kind, version_id, is_free in rows:
        if status == "inactive":
            raise DomainError(f"The tool {slug} is inactive.", code="tool_inactive")
        if version_id is not None:
            pool = _pool(version_id, kind)
            if pool == "inline" and not is_free:
                pool = "cpu"  # it declares its effect, or waits for its turn
            found[slug] = {"version": str(version_id), "tool": str(tool_id), "pool": pool}
            if kind == "agent":
                found[slug]["asks"] = _asked(version_id)
    for slug in slugs - found.keys():
        raise DomainError(f"The tool {slug} does not exist any more.", code="tool_missing")
    return found


def _agents(
    project_id: UUID, slugs: frozenset[str], override: UUID | None, environment: Environment
) -> tuple[dict[str, Any], frozenset[str]]:
    if not slugs:
        return {}, frozenset()
    wanted = [] if override else list(slugs)
    rows = query(sql.PIN_AGENTS, [environment.pk, project_id, wanted, override])
    by_slug = {row[0]: row for row in rows}
    if override:
        by_slug = dict.fromkeys(slugs, rows[0]) if rows else {}
    for slug in slugs:
        row = by_slug.get(slug)
        if row is None or row[4] is None:
            raise DomainError(f"The agent {slug} does not exist any more.", code="agent_missing")
        if row[2] in ("disabled", "retired"):
            raise DomainError(f"The agent {row[0]} is {row[2]}.", code="agent_disabled")
    found = {}
    for slug, row in by_slug.items():
        _, agent_id, _, name, version_id, _, kind, deployment_id, driver = row
        if deployment_id is None:
            _refuse_undeployed(name, kind, environment)
        # What runs at its own address is called by the shared workers.
        is_own = deployment_id is not None and driver != "remote"
        queue = f"deployment.{deployment_id}" if is_own else SHARED_QUEUE
        found[slug] = {"version": str(version_id), "agent": str(agent_id), "queue": queue}
    return found, frozenset(tool for row in by_slug.values() for tool in row[5] or ())


def _refuse_undeployed(name: str, kind: str, environment: Environment) -> None:
    """409 where the environment is protected, or the shared pool cannot do its work."""
    if environment.protected:
        message = f"{name} is not deployed to {environment.name}, which is protected."
        raise DomainError(message, code="agent_not_deployed")
    if kind == "worker":
        message = (
            f"{name} is not deployed to {environment.name}: its work is done by workers of the "
            "operator, who register for a deployment."
        )
        raise DomainError(message, code="agent_not_deployed")


def _workflows(project_id: UUID, slugs: frozenset[str]) -> dict[str, Any]:
    if not slugs:
        return {}
    found = {}
    for slug, workflow_id, version_id, number in query(
        sql.PIN_WORKFLOWS, [project_id, list(slugs)]
    ):
        if version_id is None:
            raise DomainError(f"The workflow {slug} has no released version.", code="not_released")
        found[slug] = {
            "workflow": str(workflow_id), "version": str(version_id), "number": number,
        }  # fmt: skip
    for slug in slugs - found.keys():
        raise DomainError(f"The workflow {slug} does not exist any more.", code="workflow_missing")
    return found

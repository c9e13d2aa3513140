"""What a definition may name besides its own steps: tools, agents and workflows of the project."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """A tool as a definition sees it."""

    slug: str
    input_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as a definition sees it."""

    slug: str


@dataclass(frozen=True, slots=True)
class WorkflowInfo:
    """Another workflow: `calls` are the slugs of the workflows that its newest version starts."""

    slug: str
    input_schema: Mapping[str, Any] | None = None
    calls: frozenset[str] = field(default_factory=frozenset)


class Catalogue(Protocol):
    """Answers by slug; None for what does not exist or may not be used."""

    def tool(self, slug: str) -> ToolInfo | None:
        """The tool of that slug."""
        ...

    def agent(self, slug: str) -> AgentInfo | None:
        """The agent of that slug."""
        ...

    def workflow(self, slug: str) -> WorkflowInfo | None:
        """The workflow of that slug."""
        ...


MAX_CALL_DEPTH = 10


def way_back(catalogue: Catalogue, start: str, own: str) -> list[str] | None:
    """The chain of workflows from `start` back to `own`, if calling `start` leads there."""
    seen = {start}
    ways = [[start]]
    while ways:
        way = ways.pop()
        if way[-1] == own:
            return way
        info = catalogue.workflow(way[-1])
        for slug in sorted(info.calls if info else ()):
            if slug not in seen:
                seen.add(slug)
                ways.append([*way, slug])
    return None


def call_depth(catalogue: Catalogue, start: str) -> int:
    """How many workflows deep a call of `start` goes, itself counted; stops beyond the limit."""
    level, depth = {start}, 0
    while level and depth <= MAX_CALL_DEPTH:
        depth += 1
        infos = [catalogue.workflow(slug) for slug in level]
        level = {slug for info in infos if info for slug in info.calls}
    return depth

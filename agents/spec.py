"""What a version of an agent does, as one frozen value that a run pins."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from agents.connections import server_of
from agents.models import AgentVersion
from agents.providers.contract import DEFAULT_TIMEOUT_SECONDS

CACHED_VERSIONS = 1000
DEFAULT_TURNS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one task of an agent; None is none. `turns` are model calls."""

    turns: int = DEFAULT_TURNS
    tokens: int | None = None
    cost: Decimal | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """A snapshot of an agent version. `tools` are slugs, `secret` a name, never a value.

    `config` is the whole configuration, for kinds whose fields are not spelled out here.
    """

    agent_id: UUID
    slug: str
    version_id: UUID
    number: int
    project_id: UUID
    kind: str
    provider: str = ""
    model: str = ""
    base_url: str | None = None
    secret: str | None = None
    connection: UUID | None = None
    instructions: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    output_schema: Mapping[str, Any] | None = None
    limits: Limits = Limits()
    max_tokens: int | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    config: Mapping[str, Any] = field(default_factory=dict)


def _limits(config: Mapping[str, Any]) -> Limits:
    told = config.get("limits") or {}
    cost = told.get("cost")
    return Limits(
        turns=told.get("turns") or DEFAULT_TURNS,
        tokens=told.get("tokens"),
        cost=None if cost is None else Decimal(str(cost)),
        seconds=told.get("seconds"),
    )


def make_spec(version: AgentVersion) -> AgentSpec:
    """The snapshot of a version whose `agent` is loaded."""
    config, agent = version.config, version.agent
    parameters = config.get("parameters") or {}
    return AgentSpec(
        agent_id=agent.pk,
        slug=agent.slug,
        version_id=version.pk,
        number=version.number,
        project_id=agent.project_id,
        kind=agent.kind,
        provider=config.get("provider") or "",
        model=config.get("model") or "",
        base_url=config.get("base_url"),
        secret=config.get("secret"),
        connection=UUID(config["connection"]) if config.get("connection") else None,
        instructions=config.get("instructions") or "",
        parameters=parameters,
        tools=tuple(config.get("tools") or ()),
        output_schema=config.get("output_schema"),
        limits=_limits(config),
        max_tokens=parameters.get("max_tokens") or parameters.get("max_completion_tokens"),
        timeout_seconds=config.get("timeout_seconds") or DEFAULT_TIMEOUT_SECONDS,
        config=config,
    )


def connected(spec: AgentSpec) -> AgentSpec:
    """The spec with the address and the secret of the connection it names; itself where it names
    none. Reads the database at most every 15 s a connection. DomainError `connection_gone` or
    `connection_disabled`."""
    if spec.connection is None:
        return spec
    server = server_of(spec.connection)
    config = {**spec.config, "base_url": server.base_url, "secret": server.secret}
    return replace(spec, base_url=server.base_url, secret=server.secret, config=config)


@lru_cache(maxsize=CACHED_VERSIONS)
def kept_spec(version_id: UUID) -> AgentSpec:
    """The snapshot of a version by its id; read once a process, for versions never change.

    AgentVersion.DoesNotExist where there is none.
    """
    return make_spec(AgentVersion.objects.select_related("agent").get(pk=version_id))


def spec_of(version_id: UUID) -> AgentSpec:
    """The snapshot of a version with the server it calls; see `connected`."""
    return connected(kept_spec(version_id))


def load_spec(version: AgentVersion | UUID) -> AgentSpec:
    """The snapshot of a version, given as a row or as its id."""
    return spec_of(version if isinstance(version, UUID) else version.pk)

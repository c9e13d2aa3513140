"""Provider connections: the address and key of a model server, kept once and named by many agents.

A version of an agent names the connection and keeps provider and model; address and key are read
from the connection when the version is loaded, so that a rotated key or a moved server needs no new
version. Processes take a change up within FRESH_SECONDS.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from agents.models import Agent, AgentVersion, Deployment
from agents.provider_connection import ProviderConnection
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import parse_uuid
from projects.models import Project

FRESH_SECONDS = 15.0
MOST_TOLD = 20


# Who uses it


def uses(connection: ProviderConnection) -> tuple[list[Agent], list[Deployment]]:
    """The agents whose current version names a connection, and the deployments in service that run
    one which does."""
    versions = AgentVersion.objects.filter(
        agent__project_id=connection.project_id, config__connection=str(connection.pk)
    )
    ids = versions.values("pk")
    agents = Agent.objects.alive().filter(current__in=ids).order_by("name")
    rows = Deployment.objects.filter(Q(target_version__in=ids) | Q(live_version__in=ids))
    rows = rows.exclude(phase=Deployment.Phase.RETIRED).select_related(
        "agent", "environment", "target_version"
    )
    return list(agents.select_related("current")), list(rows)


def used_by(connection: ProviderConnection) -> list[str]:
    """What forbids deleting a connection, in words."""
    agents, deployments = uses(connection)
    found = [f"the agent {agent}" for agent in agents]
    found += [f"the deployment of {row.agent} in {row.environment}" for row in deployments]
    return found[:MOST_TOLD]


# In configurations


def named(project_id: UUID, key: Any) -> ProviderConnection:
    """The project's connection that a configuration names; 422 where there is none, or it is
    switched off."""
    identity = parse_uuid(key)
    rows = ProviderConnection.objects.filter(project_id=project_id, pk=identity)
    found = rows.first() if identity else None
    if found is None:
        message = "This project has no such connection."
        raise InvalidInput.of("config.connection", message, "does_not_exist")
    if not found.enabled:
        message = f"The connection {found.name} is switched off."
        raise InvalidInput.of("config.connection", message, "connection_disabled")
    return found


def completed(project: Project, config: dict[str, Any]) -> dict[str, Any]:
    """A cleaned configuration with provider and model of the connection it names where it leaves
    them out. 422 where the connection is gone or switched off, speaks another wire format, or
    nobody names a model."""
    if not config.get("connection"):
        return config
    row = named(project.pk, config["connection"])
    provider, model = config["provider"] or row.provider, config["model"] or row.default_model
    if provider != row.provider:
        message = f"The connection {row.name} is one of {row.provider}, not of {provider}."
        raise InvalidInput.of("config.provider", message, "provider_differs")
    if not model:
        message = f"Name a model: the connection {row.name} has no default one."
        raise InvalidInput.of("config.model", message, "required")
    return {**config, "provider": provider, "model": model}


def hold(project_id: UUID, config: Mapping[str, Any]) -> None:
    """Lock the connection that a new version names, so that it is not deleted in the meantime."""
    if config.get("connection"):
        rows = ProviderConnection.objects.select_for_update(no_key=True)
        if not rows.filter(project_id=project_id, pk=config["connection"]).exists():
            message = "This project has no such connection."
            raise InvalidInput.of("config.connection", message, "does_not_exist")


def resolved(project_id: UUID, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the address and the secret of the connection it names, as of now."""
    key = config.get("connection")
    return {**config, **named(project_id, key).server()} if key else dict(config)


# When a version is loaded


@dataclass(frozen=True, slots=True)
class Server:
    """What is kept of a connection for calls."""

    name: str
    base_url: str | None
    secret: str | None
    enabled: bool


_servers: dict[UUID, tuple[float, Server | None]] = {}


def server_of(key: UUID) -> Server:
    """The server of a connection, at most FRESH_SECONDS old; reads the database. DomainError
    `connection_gone` or `connection_disabled`."""
    known = _servers.get(key)
    if known is None or time.monotonic() - known[0] >= FRESH_SECONDS:
        rows = ProviderConnection.objects.filter(pk=key)
        row = rows.values_list("name", "base_url", "secret", "enabled").first()
        known = _servers[key] = time.monotonic(), Server(*row) if row else None
    found = known[1]
    if found is None:
        raise DomainError("The connection of this version was deleted.", code="connection_gone")
    if not found.enabled:
        message = f"The connection {found.name} is switched off."
        raise DomainError(message, code="connection_disabled")
    return found


def forget() -> None:
    """Read all connections anew at the next question."""
    _servers.clear()

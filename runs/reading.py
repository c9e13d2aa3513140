"""What steps need of other apps, read through the ORM on first use and kept: versions never change.

Worker threads give their connection back after each read; none is held during a call.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from django.db import connection

from agents.pricing import PriceList, price_list
from agents.providers import HOME
from agents.spec import AgentSpec, connected, kept_spec
from projects.vault import named, reveal_for
from tools.callables import load_callable, resolve_secrets
from tools.calls import SecretValue, ToolCallable
from tools.pinned import hold

T = TypeVar("T")


def returning_connection(read: Callable[[], T]) -> T:
    """Run a read and give the thread's connection back to the pool."""
    try:
        return read()
    finally:
        connection.close()


def callable_of(version_id: str) -> ToolCallable:
    """The snapshot of a tool version; its status and effect class are at most 5 s old."""
    return returning_connection(lambda: load_callable(UUID(version_id)))


@lru_cache(maxsize=2_000)
def _agent_of(version_id: str) -> AgentSpec:
    return returning_connection(lambda: kept_spec(UUID(version_id)))


def agent_of(version_id: str) -> AgentSpec:
    """The snapshot of an agent version; what it takes from a connection is at most 15 s old."""
    spec = _agent_of(version_id)
    if spec.connection is None:
        return spec
    return returning_connection(lambda: connected(spec))


def secrets_of(tool: ToolCallable, project_id: UUID) -> dict[str, SecretValue]:
    """The values of the secrets a tool needs, as of now."""
    return returning_connection(lambda: resolve_secrets(tool, project_id))


def hold_definition(tool_id: UUID, found: dict[str, Any]) -> None:
    """Put a tool whose server changed it in quarantine."""
    returning_connection(lambda: hold(tool_id, found))


def model_key(spec: AgentSpec) -> tuple[str, list[str]]:
    """(key, hosts it may go to) of an agent's model server. SecretRefused where the secret is bound
    to other hosts."""

    def read() -> tuple[str, list[str]]:
        secret = named(spec.project_id, spec.secret or "")
        address = urlsplit(spec.base_url or HOME.get(spec.provider, ""))
        return reveal_for(secret, address.hostname or "", address.port), secret.allowed_hosts

    return returning_connection(read)


def prices_of(project_id: UUID) -> PriceList:
    """The prices a project's calls are counted by."""
    return returning_connection(lambda: price_list(project_id))

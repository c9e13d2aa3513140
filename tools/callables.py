"""From stored versions to what a call needs: read before the call, so that it needs no database."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection

from controlplane.kit.errors import DomainError
from projects import vault
from tools.calls import SecretValue, ToolCallable, ToolError
from tools.kinds import kind
from tools.models import Tool, ToolVersion

T = TypeVar("T")

# Versions never change, but their tool's limits, class and status may: they are believed so long.
FRESH_SECONDS = 5.0
_MOST = 2_000
_kept: dict[UUID, tuple[float, ToolCallable]] = {}
_lock = threading.Lock()


def callable_of(version: ToolVersion) -> ToolCallable:
    """The callable of a version, its tool already read."""
    tool, works = version.tool, kind(version.tool.kind)
    code, refusal = _refusal(tool, version)
    config = works.ready(version)
    return ToolCallable(
        version_id=version.pk,
        tool_id=tool.pk,
        project_id=tool.project_id,
        slug=tool.slug,
        name=tool.name,
        number=version.number,
        kind=tool.kind,
        config=config,
        input_schema=works.input_schema(config, version.input_schema),
        output_schema=version.output_schema,
        effect_class=works.effect_class(config, tool.effect_class),
        stakes=tool.stakes,
        rate_limit=tool.rate_limit,
        effect_check=tool.effect_check,
        effect_undo=tool.effect_undo,
        timeout_seconds=tool.timeout_seconds,
        pool=works.pool(config),
        secret_names=works.secret_names(config),
        tags=tuple(tool.tags),
        description=tool.description,
        refusal_code=code,
        refusal=refusal,
    )


def _refusal(tool: Tool, version: ToolVersion) -> tuple[str, str]:
    if tool.deleted_at is not None:
        return "tool_deleted", f"{tool.name} was deleted."
    if tool.status == Tool.Status.INACTIVE:
        return "tool_inactive", f"{tool.name} is inactive."
    if version.approval != ToolVersion.Approval.APPROVED:
        return (
            "tool_quarantined",
            f"Version {version.number} of {tool.name} waits for somebody to approve it.",
        )
    return "", ""


def load_callable(version_id: UUID) -> ToolCallable:
    """The callable of a version id; remembered for FRESH_SECONDS. ToolError `tool_missing` where
    it is gone."""
    if (known := _known(version_id)) is not None:
        return known
    version = ToolVersion.objects.select_related("tool__server").filter(pk=version_id).first()
    if version is None:
        raise ToolError("This version of the tool does not exist any more.", code="tool_missing")
    found = callable_of(version)
    with _lock:
        if len(_kept) >= _MOST:
            _kept.clear()
        _kept[version_id] = (time.monotonic() + FRESH_SECONDS, found)
    return found


def _known(version_id: UUID) -> ToolCallable | None:
    kept = _kept.get(version_id)
    return kept[1] if kept is not None and kept[0] > time.monotonic() else None


def forget() -> None:
    """Read everything anew at the next question."""
    with _lock:
        _kept.clear()


async def aload_callable(version_id: UUID) -> ToolCallable:
    """`load_callable` on an event loop; a remembered one costs no thread."""
    known = _known(version_id)
    return (
        known
        if known is not None
        else await asyncio.to_thread(_released, load_callable, version_id)
    )


def resolve_secrets(tool: ToolCallable, project_id: UUID | None = None) -> dict[str, SecretValue]:
    """The decrypted secrets of a call, each only if it is bound to the host that will be called.
    ToolError `secret_not_found` or `secret_host_refused` says which may not."""
    found = {}
    for name in tool.secret_names:
        goes_to = kind(tool.kind).secret_host(tool.config)
        try:
            secret = vault.named(project_id or tool.project_id, name)
            value = vault.reveal_for(secret, *goes_to) if goes_to else vault.reveal(secret)
        except DomainError as exc:
            raise ToolError(exc.message, code=exc.code) from None
        found[name] = SecretValue(name, value, tuple(secret.allowed_hosts))
    return found


async def aresolve_secrets(
    tool: ToolCallable, project_id: UUID | None = None
) -> dict[str, SecretValue]:
    """`resolve_secrets` on an event loop; free where the tool has no secrets."""
    if not tool.secret_names:
        return {}
    return await asyncio.to_thread(_released, resolve_secrets, tool, project_id)


def _released(work: Callable[..., T], *args: Any) -> T:
    """Do the work, then give the connection of this thread back to the pool."""
    try:
        return work(*args)
    finally:
        connection.close()

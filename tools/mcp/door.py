"""The way to MCP servers without their SDK: what a conversation needs and brings, loaded late."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.module_loading import import_string

from tools.calls import SecretValue
from tools.http import config as http_config
from tools.http import request
from tools.http.template import names

Progress = Callable[[float, float | None, str | None], None]
MAX_BYTES = 5 * 1024 * 1024
_CLIENT = "tools.mcp.client"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server is and how it is asked; headers may hold a secret."""

    url: str
    host: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    timeout_seconds: float = 30.0
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server said of itself, and the definitions of its tools in its order."""

    info: Mapping[str, Any]
    definitions: tuple[dict[str, Any], ...]


class Changed(Exception):
    """A tool is not the one that was pinned; `found` is what it is now, None where it is gone."""

    def __init__(self, found: dict[str, Any] | None) -> None:
        super().__init__()
        self.found = found


def clean(url: Any, auth: Any) -> dict[str, Any]:
    """{url, auth} of a server, checked by the rules of HTTP tools. InvalidInput names each fault
    as `config.url` or `config.auth.…`."""
    cleaned = http_config.clean({"method": "POST", "url": url, "auth": auth})
    return {"url": cleaned["url"], "auth": cleaned["auth"]}


def has_places(url: str) -> bool:
    """Whether arguments would be filled into a URL, which a server's cannot have."""
    return any(True for _ in names(url))


def door(
    url: str, auth: Mapping[str, Any] | None, secret: SecretValue | None, *, timeout_seconds: float
) -> Door:
    """The door of a server whose secret is at hand. ToolError `secret_unusable` where it cannot be
    sent."""
    config = http_config.clean({"method": "POST", "url": url, "auth": auth})
    prepared = request.prepare(config, {}, secret=secret)
    headers = {
        name: value
        for name, value in prepared.headers.items()
        if name.lower() not in ("content-type", "content-length")
    }
    hidden = (secret.value, secret.value.strip(), *prepared.hidden) if secret else ()
    host, _ = http_config.host_of(url)
    return Door(prepared.url, host, headers, hidden, timeout_seconds)


async def list_tools(door: Door) -> Listing:
    """See `tools.mcp.client.list_tools`."""
    return await import_string(f"{_CLIENT}.list_tools")(door)


async def call(
    door: Door, name: str, arguments: Mapping[str, Any], *, pinned: str, on_progress: Progress
) -> dict[str, Any]:
    """See `tools.mcp.client.call`."""
    return await import_string(f"{_CLIENT}.call")(
        door, name, arguments, pinned=pinned, on_progress=on_progress
    )

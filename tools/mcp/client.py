"""Conversations with MCP servers over streamable HTTP: the official SDK behind our egress guard.

The SDK is heavy; nothing imports this module at the start of a process (see `tools.mcp.door`).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from controlplane.kit import egress
from tools.calls import Fate, ToolError
from tools.mcp.definitions import definition, sha256
from tools.mcp.door import Changed, Door, Listing, Progress

MOST_TOOLS = 500
_MOST_PAGES = 50
# JSON-RPC codes with which the SDK reports what happened on our side of the wire.
_NOT_ANSWERED = frozenset((-32000, -32001, -32603))


class _Talk:
    """What is known of one conversation, for the words of its failure."""

    def __init__(self) -> None:
        self.status = 0
        self.is_sent = False

    async def note(self, response: httpx2.Response) -> None:
        """Keep the status of an answer that is an error."""
        if response.status_code >= 400:
            self.status = response.status_code


async def list_tools(door: Door) -> Listing:
    """What a server is and which tools it has. ToolError says why it did not tell."""
    talk = _Talk()
    async with _conversation(door, talk) as client:
        found = await _listed(client)
        info = client.server_info
        return Listing(
            info={
                "name": str(info.name)[:200] if info else "",
                "version": str(info.version)[:60] if info else "",
                "protocol": str(client.protocol_version),
                "instructions": (client.instructions or "")[:4000],
            },
            definitions=tuple(found.values()),
        )


async def call(
    door: Door,
    name: str,
    arguments: Mapping[str, Any],
    *,
    pinned: str,
    on_progress: Progress,
) -> dict[str, Any]:
    """Call a tool whose definition still has the fingerprint `pinned`; the result as the protocol
    spells it. Changed where it has another; ToolError says what else went wrong."""
    talk = _Talk()
    async with _conversation(door, talk) as client:
        # Asked every time: what was approved is this definition, not whatever has its name.
        found = (await _listed(client)).get(name)
        if found is None or sha256(found) != pinned:
            raise Changed(found)

        async def told(done: float, total: float | None, message: str | None) -> None:
            on_progress(done, total, message)

        talk.is_sent = True
        # The output is checked by our own schemas, whose patterns cannot run away.
        client.session.validate_tool_result = _unchecked  # type: ignore[method-assign]
        result = await client.call_tool(name, dict(arguments), progress_callback=told)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _unchecked(name: str, result: Any) -> None:
    return None


async def _listed(client: Client) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            told = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            found.setdefault(tool.name, definition(told))
        cursor = page.next_cursor
        if len(found) > MOST_TOOLS:
            raise ToolError(
                f"The server offers more than {MOST_TOOLS} tools.", code="too_many_tools"
            )
        if cursor is None:
            return found
    raise ToolError("The server's list of tools does not end.", code="too_many_tools")


@asynccontextmanager
async def _conversation(door: Door, talk: _Talk) -> AsyncIterator[Client]:
    http = egress.async_client(
        timeout=door.timeout_seconds,
        max_bytes=door.max_bytes,
        allowed_hosts=[door.host],
        headers=dict(door.headers),
    )
    http.event_hooks = {"response": [talk.note]}
    transport = streamable_http_client(
        door.url, http_client=http, max_sse_event_size=door.max_bytes
    )
    try:
        async with Client(
            transport, cache=None, read_timeout_seconds=door.timeout_seconds
        ) as client:
            yield client
    except (ToolError, Changed):
        raise
    except Exception as exc:
        raise _failure(exc, door, talk) from exc


def _failure(exc: Exception, door: Door, talk: _Talk) -> Exception:
    for one in _flat(exc):
        if isinstance(one, ToolError | Changed):
            return one
    if (found := egress.find(exc)) is not None:
        fate: Fate = "not_sent" if not (talk.is_sent and found.sent) else "unknown"
        return ToolError(found.message, code=found.code, retryable=found.retryable, fate=fate)
    if talk.status in (401, 403):
        return ToolError(
            f"{door.host} answered {talk.status}: it does not accept the credentials.",
            code="mcp_unauthorized",
            fate="answered" if talk.is_sent else "not_sent",
        )
    if talk.status:
        after: Fate = "unknown" if talk.status >= 500 else "answered"
        return ToolError(
            f"{door.host} answered {talk.status}.",
            code="mcp_http_error",
            retryable=talk.status >= 500 or talk.status == 429,
            fate=after if talk.is_sent else "not_sent",
        )
    for one in _flat(exc):
        if isinstance(one, MCPError):
            late = one.code in _NOT_ANSWERED
            after = "unknown" if late else "answered"
            return ToolError(
                f"{door.host}: {one.message}"[:2000],
                code="mcp_error",
                retryable=late,
                fate=after if talk.is_sent else "not_sent",
            )
    kind = type(next(_flat(exc), exc)).__name__
    return ToolError(
        f"The conversation with {door.host} broke off ({kind}).",
        code="mcp_failed",
        fate="unknown" if talk.is_sent else "not_sent",
    )


def _flat(exc: BaseException) -> Any:
    if isinstance(exc, BaseExceptionGroup):
        for one in exc.exceptions:
            yield from _flat(one)
    elif not isinstance(exc, anyio.ClosedResourceError):
        yield exc

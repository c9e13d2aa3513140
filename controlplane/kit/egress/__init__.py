"""The one door to the outside: every outgoing call is resolved, checked, capped and timed here.

Tools, webhooks, MCP and model clients call through it and nothing else does. The HTTP library is
loaded at the first call, so that a process that calls nobody does not carry it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from controlplane.kit.egress.errors import (
    EgressError,
    EgressRefused,
    EgressTimeout,
    EgressTooLarge,
    EgressUnreachable,
    find,
)
from controlplane.kit.egress.redaction import Redactor

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "DEFAULT_MAX_BYTES",
    "DEFAULT_TIMEOUT_SECONDS",
    "EgressError",
    "EgressRefused",
    "EgressTimeout",
    "EgressTooLarge",
    "EgressUnreachable",
    "Redactor",
    "aclose",
    "async_client",
    "client",
    "close",
    "find",
    "request",
    "request_blocking",
]

DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_MAX_BYTES = 10 * 1024 * 1024
_HERE = "controlplane.kit.egress"


def async_client(
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: dict[str, str] | None = None,
) -> "httpx2.AsyncClient":
    """A guarded httpx2 client for asyncio, also for the `http_client=` of a vendor's SDK.

    `timeout`: seconds for a whole call, redirects and body included. `max_bytes`: of the decoded
    answer. `allowed_hosts`: `host`, `host:port` or `*.domain`; None leaves only the address rules.
    Cheap to make and needs no closing: connections belong to the running loop and are shared by
    all clients of it. Calls raise the EgressError family.
    """
    return import_string(f"{_HERE}.async_http.async_client")(
        timeout=timeout,
        max_bytes=max_bytes,
        allowed_hosts=allowed_hosts,
        follow_redirects=follow_redirects,
        headers=headers,
    )


def client(
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: dict[str, str] | None = None,
) -> "httpx2.Client":
    """`async_client` for threads; connections are shared by the process."""
    return import_string(f"{_HERE}.sync_http.client")(
        timeout=timeout,
        max_bytes=max_bytes,
        allowed_hosts=allowed_hosts,
        follow_redirects=follow_redirects,
        headers=headers,
    )


def _limits(timeout: float, max_bytes: int, allowed_hosts: Iterable[str] | None) -> Any:
    hosts = None if allowed_hosts is None else tuple(allowed_hosts)
    return import_string(f"{_HERE}.policy.Limits")(timeout, max_bytes, hosts)


async def request(
    method: str,
    url: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: Mapping[str, str] | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
) -> "httpx2.Response":
    """One guarded call, its answer read in full. Any status is an answer; EgressError is none."""
    return await import_string(f"{_HERE}.async_http.request")(
        method,
        url,
        limits=_limits(timeout, max_bytes, allowed_hosts),
        follow_redirects=follow_redirects,
        headers=headers,
        content=content,
        json=json,
        data=data,
    )


def request_blocking(
    method: str,
    url: str,
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: Mapping[str, str] | None = None,
    content: bytes | str | None = None,
    json: Any = None,
    data: Mapping[str, Any] | None = None,
) -> "httpx2.Response":
    """`request` for threads."""
    return import_string(f"{_HERE}.sync_http.request")(
        method,
        url,
        limits=_limits(timeout, max_bytes, allowed_hosts),
        follow_redirects=follow_redirects,
        headers=headers,
        content=content,
        json=json,
        data=data,
    )


async def aclose() -> None:
    """Close the connections of the running loop; at drain and between tests."""
    await import_string(f"{_HERE}.async_http.aclose")()


def close() -> None:
    """Close the connections that threads share; at drain and between tests."""
    import_string(f"{_HERE}.sync_http.close")()

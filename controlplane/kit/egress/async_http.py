"""Guarded HTTP clients for asyncio: one connection pool an event loop, shared by all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import httpcore2
import httpx2

from controlplane.kit.egress import policy, resolution
from controlplane.kit.egress.addresses import Permit
from controlplane.kit.egress.answers import (
    Meter,
    announced,
    decoded_answer,
    explained,
    raw_answer,
)
from controlplane.kit.egress.errors import EgressUnreachable
from controlplane.kit.egress.policy import Call, Limits

_FIRST_TRY_SECONDS = 2.0


class _Backend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to a checked one. TLS keeps the host's name,
    which the pool passes to the handshake by itself."""

    def __init__(self, allow: Iterable[Permit]) -> None:
        self._allow = tuple(allow)
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        until = loop.time() + (policy.CONNECT_SECONDS if timeout is None else timeout)
        found = await resolution.resolve(host, port, allow=self._allow, timeout=until - loop.time())
        for address in found[:-1]:
            with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._inner.connect_tcp(
                    address,
                    port,
                    min(_FIRST_TRY_SECONDS, until - loop.time()),
                    local_address,
                    socket_options,
                )
        return await self._inner.connect_tcp(
            found[-1], port, max(0.001, until - loop.time()), local_address, socket_options
        )

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> Any:
        raise EgressUnreachable("Unix sockets are not called.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# A pool belongs to one loop, and to one operator's list: a connection once allowed must not
# outlive the permission.
_pools: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[Permit, ...], httpcore2.AsyncConnectionPool]
] = WeakKeyDictionary()


def _pool() -> httpcore2.AsyncConnectionPool:
    pools = _pools.setdefault(asyncio.get_running_loop(), {})
    allow = policy.permits()
    if allow not in pools:
        pools[allow] = httpcore2.AsyncConnectionPool(
            ssl_context=policy.ssl_context(),
            max_connections=policy.MAX_CONNECTIONS,
            max_keepalive_connections=policy.MAX_IDLE_CONNECTIONS,
            keepalive_expiry=policy.KEEPALIVE_SECONDS,
            network_backend=_Backend(allow),
        )
    return pools[allow]


async def aclose() -> None:
    """Close the idle and open connections of the running loop; at drain and between tests."""
    for pool in _pools.pop(asyncio.get_running_loop(), {}).values():
        await pool.aclose()


class _RawStream(httpx2.AsyncByteStream):
    """The body as it comes, counted, each wait cut by the deadline of the call."""

    def __init__(self, stream: Any, meter: Meter) -> None:
        self._stream, self._meter = stream, meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call = self._meter.call
        parts = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout(call.remaining):
                    part = await anext(parts, None)
            except Exception as exc:
                raise explained(exc, call) from exc
            if part is None:
                return
            self._meter.take_raw(len(part))
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _DecodedStream(httpx2.AsyncByteStream):
    """The body decoded and capped."""

    def __init__(self, raw: httpx2.Response, meter: Meter) -> None:
        self._raw, self._meter = raw, meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(self._raw.aiter_bytes()) as parts:
                async for part in parts:
                    self._meter.take(len(part))
                    yield part
        except httpx2.DecodingError as exc:
            raise explained(exc, self._meter.call) from exc

    async def aclose(self) -> None:
        await self._raw.aclose()


class GuardedTransport(httpx2.AsyncBaseTransport):
    """The transport of every guarded client; holds nothing but the limits of its calls."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One hop. Every failure is an EgressError."""
        call = policy.call_of(request, self._limits)
        try:
            policy.admit(request, call)
            async with asyncio.timeout(call.remaining):
                response = await _pool().handle_async_request(policy.core_request(request, call))
            call.answers += 1
        except Exception as exc:
            found = explained(exc, call)
            if found is exc:
                raise
            raise found from exc
        return await self._guarded(request, response, call)

    async def _guarded(
        self, request: httpx2.Request, response: httpcore2.Response, call: Call
    ) -> httpx2.Response:
        try:
            meter = Meter(call, announced(request, response))
        except Exception:
            await response.aclose()
            raise
        raw = raw_answer(response, _RawStream(response.stream, meter))
        return decoded_answer(response, _DecodedStream(raw, meter))


def async_client(
    *,
    timeout: float,
    max_bytes: int,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: dict[str, str] | None = None,
) -> httpx2.AsyncClient:
    """See `controlplane.kit.egress.async_client`."""
    limits = Limits(timeout, max_bytes, None if allowed_hosts is None else tuple(allowed_hosts))
    return httpx2.AsyncClient(
        transport=GuardedTransport(limits),
        trust_env=False,
        timeout=timeout,
        follow_redirects=follow_redirects,
        max_redirects=policy.MAX_REDIRECTS,
        cookies=policy.no_cookies(),
        headers=headers or policy.HEADERS,
    )


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()


async def request(
    method: str,
    url: str,
    *,
    limits: Limits,
    follow_redirects: bool,
    **parts: Any,
) -> httpx2.Response:
    """See `controlplane.kit.egress.request`."""
    loop = asyncio.get_running_loop()
    client = _shared.get(loop)
    if client is None:
        client = _shared[loop] = async_client(timeout=limits.timeout, max_bytes=limits.max_bytes)
    call = limits.start()
    with policy.valid_request(call):
        return await client.request(
            method,
            url,
            follow_redirects=follow_redirects,
            timeout=limits.timeout,
            extensions={policy.EXTENSION: call},
            **parts,
        )

"""Guarded HTTP clients for threads: one connection pool a process, shared by all of them."""

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

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
# The call this thread is working on: a socket of the pool serves many calls, its deadline is that
# of the one in hand.
_current = threading.local()


@contextlib.contextmanager
def _working_on(call: Call) -> Iterator[None]:
    before = getattr(_current, "call", None)
    _current.call = call
    try:
        yield
    except Exception as exc:
        found = explained(exc, call)
        if found is exc:
            raise
        raise found from exc
    finally:
        _current.call = before


def _cut(timeout: float | None) -> float | None:
    """The wait a socket may take now: a slow drip resets the socket's own clock, not this one."""
    call: Call | None = getattr(_current, "call", None)
    if call is None:
        return timeout
    if not call.remaining:
        raise call.late(sent=True)
    return call.remaining if timeout is None else min(timeout, call.remaining)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _cut(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _cut(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Resolves, checks every address, and connects to a checked one."""

    def __init__(self, allow: Iterable[Permit]) -> None:
        self._allow = tuple(allow)
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        until = time.monotonic() + (policy.CONNECT_SECONDS if timeout is None else timeout)
        found = resolution.resolve_blocking(
            host, port, allow=self._allow, timeout=until - time.monotonic()
        )
        for address in found[:-1]:
            with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                left = max(0.001, min(_FIRST_TRY_SECONDS, until - time.monotonic()))
                return _Stream(
                    self._inner.connect_tcp(address, port, left, local_address, socket_options)
                )
        left = max(0.001, until - time.monotonic())
        return _Stream(
            self._inner.connect_tcp(found[-1], port, left, local_address, socket_options)
        )

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> Any:
        raise EgressUnreachable("Unix sockets are not called.")


_pools: dict[tuple[Permit, ...], httpcore2.ConnectionPool] = {}
_lock = threading.Lock()
# Sockets of a parent process must not be written by its child.
os.register_at_fork(after_in_child=_pools.clear)


def _pool() -> httpcore2.ConnectionPool:
    allow = policy.permits()
    with _lock:
        if allow not in _pools:
            _pools[allow] = httpcore2.ConnectionPool(
                ssl_context=policy.ssl_context(),
                max_connections=policy.MAX_CONNECTIONS,
                max_keepalive_connections=policy.MAX_IDLE_CONNECTIONS,
                keepalive_expiry=policy.KEEPALIVE_SECONDS,
                network_backend=_Backend(allow),
            )
        return _pools[allow]


def close() -> None:
    """Close all connections; at drain and between tests."""
    with _lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


class _RawStream(httpx2.SyncByteStream):
    def __init__(self, stream: Any, meter: Meter) -> None:
        self._stream, self._meter = stream, meter

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while True:
            with _working_on(self._meter.call):
                part = next(parts, None)
            if part is None:
                return
            self._meter.take_raw(len(part))
            yield part

    def close(self) -> None:
        self._stream.close()


class _DecodedStream(httpx2.SyncByteStream):
    def __init__(self, raw: httpx2.Response, meter: Meter) -> None:
        self._raw, self._meter = raw, meter

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._raw.iter_bytes():
                self._meter.take(len(part))
                yield part
        except httpx2.DecodingError as exc:
            raise explained(exc, self._meter.call) from exc

    def close(self) -> None:
        self._raw.close()


class GuardedTransport(httpx2.BaseTransport):
    """The transport of every guarded client; holds nothing but the limits of its calls."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One hop. Every failure is an EgressError."""
        call = policy.call_of(request, self._limits)
        with _working_on(call):
            policy.admit(request, call)
            response = _pool().handle_request(policy.core_request(request, call))
            call.answers += 1
        try:
            meter = Meter(call, announced(request, response))
        except Exception:
            response.close()
            raise
        raw = raw_answer(response, _RawStream(response.stream, meter))
        return decoded_answer(response, _DecodedStream(raw, meter))


def client(
    *,
    timeout: float,
    max_bytes: int,
    allowed_hosts: Iterable[str] | None = None,
    follow_redirects: bool = False,
    headers: dict[str, str] | None = None,
) -> httpx2.Client:
    """See `controlplane.kit.egress.client`."""
    limits = Limits(timeout, max_bytes, None if allowed_hosts is None else tuple(allowed_hosts))
    return httpx2.Client(
        transport=GuardedTransport(limits),
        trust_env=False,
        timeout=timeout,
        follow_redirects=follow_redirects,
        max_redirects=policy.MAX_REDIRECTS,
        cookies=policy.no_cookies(),
        headers=headers or policy.HEADERS,
    )


_shared: list[httpx2.Client] = []


def request(
    method: str,
    url: str,
    *,
    limits: Limits,
    follow_redirects: bool,
    **parts: Any,
) -> httpx2.Response:
    """See `controlplane.kit.egress.request_blocking`."""
    if not _shared:
        _shared.append(client(timeout=limits.timeout, max_bytes=limits.max_bytes))
    call = limits.start()
    with policy.valid_request(call):
        return _shared[0].request(
            method,
            url,
            follow_redirects=follow_redirects,
            timeout=limits.timeout,
            extensions={policy.EXTENSION: call},
            **parts,
        )

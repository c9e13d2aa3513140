"""What every hop of an outgoing call must obey, whichever client makes it."""

import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from django.conf import settings

from controlplane.kit.egress import addresses
from controlplane.kit.egress.addresses import Permit
from controlplane.kit.egress.errors import (
    EgressError,
    EgressRefused,
    EgressTimeout,
    EgressTooLarge,
    EgressUnreachable,
)

EXTENSION = "sparkops_call"
MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
# Below the five seconds after which common servers close an idle connection.
KEEPALIVE_SECONDS = 4.0
MAX_CONNECTIONS = 1000
MAX_IDLE_CONNECTIONS = 100
# Compressed bytes may exceed the decoded ones by a little; an endless stream of empty compressed
# blocks may not.
_RAW_SLACK = 64 * 1024
# What a redirect to another origin keeps: everything else may carry a credential.
_HARMLESS_HEADERS = frozenset(
    ("accept", "accept-encoding", "accept-language", "connection", "content-encoding",
     "content-length", "content-type", "host", "transfer-encoding", "user-agent")
)


@dataclass(slots=True)
class Call:
    """The limits of one outgoing call and what its hops share."""

    timeout: float
    max_bytes: int
    allowed_hosts: tuple[str, ...] | None
    deadline: float = 0.0
    origin: tuple[str, str, int] | None = None

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client grants each of its calls: seconds in total, decoded bytes, hosts."""

    timeout: float
    max_bytes: int
    allowed_hosts: tuple[str, ...] | None = None

    def start(self) -> Call:
        """A new call under these limits."""
        return Call(self.timeout, self.max_bytes, self.allowed_hosts)


def permits() -> tuple[Permit, ...]:
    """The operator's list of settings."""
    return addresses.permits(tuple(settings.SPARKOPS_EGRESS_ALLOW))


def no_cookies() -> CookieJar:
    """A jar that keeps nothing: clients are shared between projects."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


_context: list[ssl.SSLContext] = []


def ssl_context() -> ssl.SSLContext:
    """The one TLS context of the process; building one costs milliseconds and a megabyte."""
    if not _context:
        _context.append(httpx2.create_ssl_context())
    return _context[0]


def port_of(url: httpx2.URL) -> int:
    """The port a URL means."""
    return url.port or (443 if url.scheme == "https" else 80)


def admit(request: httpx2.Request, limits: Limits) -> Call:
    """Check one hop and give its call. Strips what another origin may not see.

    EgressRefused for another scheme, a missing or oddly spelled host, credentials in the URL, or
    a host outside the allowed ones; EgressTimeout where the earlier hops took all the time.
    """
    url = request.url
    call = request.extensions.get(EXTENSION)
    if call is None:
        call = request.extensions[EXTENSION] = limits.start()
    if not call.deadline:
        call.deadline = time.monotonic() + call.timeout
    host, port = check_url(url), port_of(url)
    if call.allowed_hosts is not None and not any(
        addresses.host_matches(host, port, pattern) for pattern in call.allowed_hosts
    ):
        named = ", ".join(call.allowed_hosts) or "none"
        raise EgressRefused(f"{host} is not among the allowed hosts of this call ({named}).")
    origin = (url.scheme, host, port)
    if call.origin is None:
        call.origin = origin
    elif call.origin != origin:
        for name in [n for n in request.headers if n.lower() not in _HARMLESS_HEADERS]:
            del request.headers[name]
    if not call.remaining:
        raise _late(call, sent=True)
    return call


def check_url(url: httpx2.URL) -> str:
    """The host of a URL that may be called. EgressRefused says what is wrong with it."""
    if url.scheme not in ("http", "https"):
        raise EgressRefused(f"Only http and https are called, not {url.scheme or 'a bare path'}.")
    host = url.raw_host.decode("ascii")
    if not host:
        raise EgressRefused("The URL has no host.")
    if url.userinfo:
        raise EgressRefused("The URL holds credentials; give them as a secret instead.")
    return host


def core_request(request: httpx2.Request, call: Call) -> httpcore2.Request:
    """The request as the connection pool takes it, its waits cut to what is left of the call."""
    left = call.remaining
    asked = request.extensions.get("timeout") or {}

    def cut(kind: str, most: float) -> float:
        value = asked.get(kind)
        return most if value is None else min(value, most)

    # A hair less than the whole, so that a connect that hangs is told from an answer that does.
    connect = max(0.001, min(CONNECT_SECONDS, left * 0.98))
    timeouts = {"connect": cut("connect", connect), "pool": cut("pool", connect),
                "read": cut("read", left), "write": cut("write", left)}
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions={**request.extensions, "timeout": timeouts},
    )


def _late(call: Call, *, sent: bool) -> EgressTimeout:
    where = call.origin[1] if call.origin else "The host"
    return EgressTimeout(f"{where} did not answer within {call.timeout:g} s.", sent=sent)


_NOT_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)


def explained(exc: Exception, call: Call) -> Exception:
    """A failure of the connection pool as one of ours; anything else as it is."""
    if isinstance(exc, EgressError):
        return exc
    host = call.origin[1] if call.origin else "The host"
    sent = not isinstance(exc, _NOT_SENT)
    if isinstance(exc, httpcore2.TimeoutException | TimeoutError):
        return _late(call, sent=sent)
    if isinstance(exc, httpcore2.ConnectError):
        reason = _reason(exc)
        return EgressUnreachable(
            f"{host} cannot be reached: {reason}.", retryable="certificate" not in reason.lower()
        )
    if isinstance(exc, httpcore2.NetworkError):
        return EgressUnreachable(f"The connection to {host} broke.", sent=sent)
    if isinstance(exc, httpcore2.LocalProtocolError):
        return EgressRefused(f"The request is not valid HTTP: {exc}.")
    if isinstance(exc, httpcore2.ProtocolError | httpx2.DecodingError):
        return EgressUnreachable(f"The answer of {host} is not valid HTTP.", sent=sent,
                                 code="protocol_error")
    return exc


def _reason(exc: BaseException) -> str:
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"its certificate is not valid ({inner.verify_message})"
        if isinstance(inner, ssl.SSLError):
            return "no TLS connection"
        if isinstance(inner, ConnectionRefusedError):
            return "connection refused"
        inner = inner.__cause__ or inner.__context__
    return "no connection"


@dataclass(slots=True)
class Meter:
    """Counts the bytes of one answer, raw and decoded, against the cap of its call."""

    call: Call
    raw: int = 0
    decoded: int = 0
    _late: Callable[..., EgressTimeout] = field(default=_late)

    def take_raw(self, count: int) -> None:
        """EgressTooLarge once the bytes on the wire exceed the cap and some slack."""
        self.raw += count
        if self.raw > self.call.max_bytes + _RAW_SLACK:
            raise self.too_large()

    def take(self, count: int) -> None:
        """EgressTooLarge once the decoded bytes exceed the cap."""
        self.decoded += count
        if self.decoded > self.call.max_bytes:
            raise self.too_large()

    def check_time(self) -> None:
        """EgressTimeout once the call's time is over."""
        if not self.call.remaining:
            raise _late(self.call, sent=True)

    def too_large(self) -> EgressTooLarge:
        """The refusal that names the cap."""
        host = self.call.origin[1] if self.call.origin else "the host"
        return EgressTooLarge(
            f"The answer of {host} is larger than {self.call.max_bytes} bytes.", sent=True
        )


def announced(method: str, response_headers: Iterable[tuple[bytes, bytes]], status: int) -> int:
    """The length an answer announces, 0 where it has no body or does not say."""
    if method == "HEAD" or status in (204, 304):
        return 0
    for name, value in response_headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


def answer(
    response: httpcore2.Response, stream: Any, *, is_encoded: bool
) -> httpx2.Response:
    """The answer for the client, its body already decoded by `stream`."""
    headers = [
        (name, value)
        for name, value in response.headers
        if not (is_encoded and name.lower() in (b"content-encoding", b"content-length"))
    ]
    return httpx2.Response(
        status_code=response.status, headers=headers, stream=stream,
        extensions=response.extensions,
    )

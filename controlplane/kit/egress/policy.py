"""What every hop of an outgoing call must obey, whichever client makes it."""

import contextlib
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore2
import httpx2
from django.conf import settings

from controlplane.kit.egress import addresses
from controlplane.kit.egress.addresses import Permit
from controlplane.kit.egress.errors import EgressRefused, EgressTimeout, EgressUnreachable

EXTENSION = "sparkops_call"
HEADERS = {"user-agent": "Spark-Ops/1"}
MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
# Below the five seconds after which common servers close an idle connection.
KEEPALIVE_SECONDS = 4.0
MAX_CONNECTIONS = 1000
# Each idle connection is looked at again for every call: few are cheaper than many.
MAX_IDLE_CONNECTIONS = 32
# What a redirect to another origin keeps: everything else may carry a credential.
_HARMLESS_HEADERS = frozenset(
    (
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    )
)


@dataclass(slots=True)
class Call:
    """The limits of one outgoing call and what its hops share."""

    timeout: float
    max_bytes: int
    allowed_hosts: tuple[str, ...] | None
    deadline: float = 0.0
    origin: tuple[str, str, int] | None = None
    answers: int = 0

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def host(self) -> str:
        """The host that was asked first, for messages."""
        return self.origin[1] if self.origin else "the host"

    def late(self, *, sent: bool) -> EgressTimeout:
        """The failure that says how long the call waited."""
        return EgressTimeout(
            f"{self.host} did not answer in full within {self.timeout:g} s.", sent=sent
        )


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
    default = 443 if url.scheme == "https" else 80
    return default if url.port is None else url.port


def call_of(request: httpx2.Request, limits: Limits) -> Call:
    """The call a hop belongs to: that of the hop before, or a new one under the limits."""
    call = request.extensions.get(EXTENSION)
    if call is None:
        call = request.extensions[EXTENSION] = limits.start()
    if not call.deadline:
        call.deadline = time.monotonic() + call.timeout
    return call


def admit(request: httpx2.Request, call: Call) -> None:
    """Check one hop, and strip from it what another origin than the first may not see.

    EgressRefused for another scheme, a missing or oddly spelled host, credentials in the URL, or
    a host outside the allowed ones; EgressTimeout where the earlier hops took all the time.
    """
    host, port = check_url(request.url), port_of(request.url)
    origin = (request.url.scheme, host, port)
    call.origin = call.origin or origin
    if call.allowed_hosts is not None and not any(
        addresses.host_matches(host, port, pattern) for pattern in call.allowed_hosts
    ):
        named = ", ".join(call.allowed_hosts) or "none"
        raise EgressRefused(f"{host} is not among the allowed hosts of this call ({named}).")
    if call.origin != origin:
        for name in [n for n in request.headers if n.lower() not in _HARMLESS_HEADERS]:
            del request.headers[name]
    if not call.remaining:
        raise call.late(sent=True)


@contextlib.contextmanager
def valid_request(call: Call) -> Iterator[None]:
    """What httpx2 refuses before or between hops, as one of ours."""
    try:
        yield
    except httpx2.TooManyRedirects:
        raise EgressRefused(
            f"{call.host} redirected more than {MAX_REDIRECTS} times.", sent=True
        ) from None
    except httpx2.RemoteProtocolError as exc:
        raise EgressUnreachable(
            f"{call.host} redirected to no valid URL.",
            sent=True,
            code="protocol_error",
            retryable=False,
        ) from exc
    except httpx2.InvalidURL as exc:
        raise EgressRefused(f"The URL is not valid: {exc}.", sent=call.answers > 0) from None


def check_url(url: httpx2.URL) -> str:
    """The host of a URL that may be called. EgressRefused says what is wrong with it."""
    if url.scheme not in ("http", "https"):
        raise EgressRefused(f"Only http and https are called, not {url.scheme or 'a bare path'}.")
    host = url.raw_host.decode("ascii")
    if not host:
        raise EgressRefused("The URL has no host.")
    if not 0 < port_of(url) < 65536:
        raise EgressRefused(f"{url.port} is not a port.")
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
    timeouts = {
        "connect": cut("connect", connect),
        "pool": cut("pool", connect),
        "read": cut("read", left),
        "write": cut("write", left),
    }
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

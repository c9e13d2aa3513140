"""What comes back from an outgoing call: counted, decoded, and its failures told apart."""

import ssl
from typing import Any

import httpcore2
import httpx2

from controlplane.kit.egress.errors import (
    EgressError,
    EgressRefused,
    EgressTooLarge,
    EgressUnreachable,
)
from controlplane.kit.egress.policy import Call

# Compressed bytes may exceed the decoded ones by a little; an endless stream of empty compressed
# blocks may not.
_RAW_SLACK = 64 * 1024
_NOT_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)


class Meter:
    """Counts the bytes of one answer, raw and decoded, against the cap of its call."""

    __slots__ = ("call", "decoded", "raw")

    def __init__(self, call: Call, announced: int = 0) -> None:
        self.call, self.raw, self.decoded = call, 0, 0
        if announced > call.max_bytes + _RAW_SLACK:
            raise self.too_large()

    def take_raw(self, count: int) -> None:
        """EgressTooLarge once the bytes on the wire exceed the cap and some slack."""
        self.raw += count
        if self.raw > self.call.max_bytes + _RAW_SLACK:
            raise self.too_large()

    def take(self, count: int) -> None:
        """EgressTooLarge once the decoded bytes exceed the cap, EgressTimeout past the deadline."""
        self.decoded += count
        if self.decoded > self.call.max_bytes:
            raise self.too_large()
        if not self.call.remaining:
            raise self.call.late(sent=True)

    def too_large(self) -> EgressTooLarge:
        """The refusal that names the cap."""
        return EgressTooLarge(
            f"The answer of {self.call.host} is larger than {self.call.max_bytes} bytes.",
            sent=True,
        )


def announced(request: httpx2.Request, response: httpcore2.Response) -> int:
    """The length an answer announces; 0 where it has no body or does not say."""
    if request.method == "HEAD" or response.status in (204, 304):
        return 0
    for name, value in response.headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


def raw_answer(response: httpcore2.Response, stream: Any) -> httpx2.Response:
    """The answer as it came, with which httpx2 decodes the body."""
    return httpx2.Response(response.status, headers=response.headers, stream=stream)


def decoded_answer(response: httpcore2.Response, stream: Any) -> httpx2.Response:
    """The answer for the caller, whose `stream` gives the body already decoded."""
    headers = response.headers
    if any(name.lower() == b"content-encoding" for name, _ in headers):
        gone = (b"content-encoding", b"content-length")
        headers = [(name, value) for name, value in headers if name.lower() not in gone]
    return httpx2.Response(
        response.status, headers=headers, stream=stream, extensions=response.extensions
    )


def explained(exc: Exception, call: Call) -> Exception:
    """A failure of the connection pool as one of ours; a real fault as it is."""
    found = _explained(exc, call)
    if isinstance(found, EgressError) and call.answers:
        # A later hop failed: the first one has been at work already.
        found.sent = True
    return found


def _explained(exc: Exception, call: Call) -> Exception:
    sent = not isinstance(exc, _NOT_SENT)
    if isinstance(exc, httpcore2.TimeoutException | TimeoutError):
        return call.late(sent=sent)
    if isinstance(exc, httpcore2.ConnectError):
        reason = _reason(exc)
        return EgressUnreachable(
            f"{call.host} cannot be reached: {reason}.", retryable="certificate" not in reason
        )
    if isinstance(exc, httpcore2.NetworkError):
        return EgressUnreachable(f"The connection to {call.host} broke.", sent=True)
    if isinstance(exc, httpcore2.LocalProtocolError):
        return EgressRefused(f"The request is not valid HTTP: {exc}.")
    if isinstance(exc, httpcore2.RemoteProtocolError | httpx2.DecodingError):
        return EgressUnreachable(
            f"{call.host} did not answer in valid HTTP: {exc}.", sent=True, code="protocol_error"
        )
    return exc


def _reason(exc: BaseException) -> str:
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"its certificate is not valid ({inner.verify_message})"
        if isinstance(inner, ssl.SSLError):
            return "no TLS connection could be agreed"
        if isinstance(inner, ConnectionRefusedError):
            return "connection refused"
        inner = inner.__cause__ or inner.__context__
    return "no connection"

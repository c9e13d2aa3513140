"""The family of refusals and failures of an outgoing call."""

from typing import Any

from controlplane.kit.errors import DomainError


class EgressError(DomainError):
    """An outgoing call that did not bring an answer.

    `retryable`: whether the same call may succeed later. `sent`: whether bytes of the request may
    have left this machine; False is certain, True means that nobody can know what the other side
    did with it.
    """

    status = 502
    code = "egress_failed"
    retryable = False

    def __init__(
        self, message: str, *, retryable: bool | None = None, sent: bool = False, **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.retryable = self.retryable if retryable is None else retryable
        self.sent = sent


class EgressRefused(EgressError):
    """The address, host or form of the call is forbidden here; nothing was sent to it."""

    status = 422
    code = "egress_refused"


class EgressUnreachable(EgressError):
    """No name, no connection, or a connection that broke."""

    code = "unreachable"
    retryable = True


class EgressTimeout(EgressError):
    """The total time of the call ran out."""

    status = 504
    code = "timeout"
    retryable = True


class EgressTooLarge(EgressError):
    """The decoded answer is larger than the caller takes."""

    code = "response_too_large"


def find(exc: BaseException | None) -> EgressError | None:
    """The egress error behind an exception that a client library wrapped, or in a group of them;
    None where there is none."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        if isinstance(exc, EgressError):
            return exc
        if isinstance(exc, BaseExceptionGroup):
            return next((found for one in exc.exceptions if (found := find(one))), None)
        seen.add(id(exc))
        exc = exc.__cause__ or exc.__context__
    return None

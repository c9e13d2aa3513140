"""Failures of the vendors' clients, classified: pure, and of no vendor."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agents.providers.contract import ErrorCode, ProviderError
from controlplane.kit import egress

LONGEST_RETRY_AFTER = 3600.0
_MESSAGE_LENGTH = 500
# What the vendors call a request or answer that their content rules refused.
_CONTENT_WORDS = (
    "content_filter",
    "content_policy",
    "responsibleaipolicyviolation",
    "content_moderation",
)
_TYPES: dict[str, ErrorCode] = {
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "auth",
    "rate_limit_error": "rate_limited",
    "overloaded_error": "overloaded",
    "api_error": "overloaded",
    "server_error": "overloaded",
    "timeout_error": "timeout",
    "invalid_request_error": "bad_request",
    "not_found_error": "bad_request",
}
_RETRYABLE: frozenset[ErrorCode] = frozenset(
    ("rate_limited", "overloaded", "timeout", "unreachable", "malformed")
)


def by_status(status: int, kind: str) -> ErrorCode:
    """The class of an HTTP refusal; `kind` is the vendor's own type and code, in lower case."""
    if status in (400, 403, 422) and any(word in kind for word in _CONTENT_WORDS):
        return "content"
    if status in (401, 402, 403):
        return "auth"
    if status == 429:
        return "rate_limited"
    if status == 408:
        return "timeout"
    if status in (409, 425) or status >= 500:
        return "overloaded"
    return "bad_request"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait as the headers ask, at most an hour; None where they do not say."""
    try:
        if text := headers.get("retry-after-ms"):
            seconds = float(text) / 1000
        elif text := headers.get("retry-after"):
            seconds = _seconds(text, now or datetime.now(UTC))
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None


def _seconds(text: str, now: datetime) -> float:
    if text.strip().replace(".", "", 1).isdigit():
        return float(text)
    at = parsedate_to_datetime(text)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _words(body: Any) -> tuple[str, str, str]:
    """(type, code, message) out of an error body of any of the usual forms."""
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | str):
        body = body["error"]
    if isinstance(body, str):
        return "", "", body
    if not isinstance(body, Mapping):
        return "", "", ""
    found = [body.get(key) for key in ("type", "code", "message")]
    return tuple(str(item) if item is not None else "" for item in found)  # type: ignore[return-value]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_LENGTH else f"{text[:_MESSAGE_LENGTH]}…"


def of_answer(status: int, body: Any, headers: Mapping[str, str]) -> ProviderError:
    """The failure a provider answered with."""
    kind, code, message = _words(body)
    # In mid-stream the status is lost; some servers then put it into the code.
    told = int(code) if status < 400 and code.isdigit() and 400 <= int(code) < 600 else status
    if told >= 400:
        found = by_status(told, f"{kind} {code}".lower())
    else:
        found = _TYPES.get(kind, "overloaded")
    out_of_quota = "insufficient_quota" in (kind, code)
    said = _sentence(message) or "no explanation"
    return ProviderError(
        found,
        f"The provider answered {status}: {said}" if status >= 400 else said,
        retryable=found in _RETRYABLE and not out_of_quota,
        retry_after=retry_after(headers),
        status=status if status >= 400 else None,
    )


def of_egress(error: egress.EgressError) -> ProviderError:
    """The failure of our own door to the outside."""
    code: ErrorCode = "unreachable"
    if isinstance(error, egress.EgressTimeout):
        code = "timeout"
    elif isinstance(error, egress.EgressTooLarge):
        code = "malformed"
    return ProviderError(code, error.message, retryable=error.retryable)


def malformed(what: str) -> ProviderError:
    """An answer that cannot be read."""
    return ProviderError("malformed", f"The provider's answer {what}.", retryable=True)


def explain(exc: Exception) -> ProviderError:
    """Any exception of a vendor's client as a ProviderError.

    Told by shape, so that no vendor's package has to be loaded: a response means that the provider
    answered, an egress error behind it that nothing came back.
    """
    if isinstance(exc, ProviderError):
        return exc
    if error := egress.find(exc):
        return of_egress(error)
    response = getattr(exc, "response", None)
    body = getattr(exc, "body", None)
    if response is not None and getattr(response, "status_code", 0) >= 400:
        return of_answer(response.status_code, body, response.headers)
    if isinstance(body, Mapping):
        return of_answer(0, body, {})
    if isinstance(exc, TimeoutError) or "timeout" in type(exc).__name__.lower():
        return ProviderError("timeout", "The provider did not answer in time.", retryable=True)
    if "connection" in type(exc).__name__.lower():
        return ProviderError("unreachable", f"No connection: {exc}.", retryable=True)
    return malformed(f"cannot be read: {_sentence(str(exc)) or type(exc).__name__}")

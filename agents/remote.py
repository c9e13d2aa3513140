"""Asking a remote agent: POST JSON to its address, through the guard, and read what it answers.

The question is {prompt, output_schema, run, step, environment}; the answer {text, data?, usage?:
{input_tokens, output_tokens, cost?}}, or plain text. A repetition carries the same Idempotency-Key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from agents.spec import AgentSpec
from controlplane.kit import egress
from controlplane.kit.egress import EgressError, EgressRefused, EgressTimeout
from controlplane.kit.json import strict_loads

LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
MOST_COST = Decimal(1_000_000)
# Failures after which the same question may be asked again, under the same key.
REPEATED = frozenset({"rate_limited", "overloaded", "timeout", "unreachable"})


class RemoteFailure(Exception):
    """The agent gave no answer: why, and how many seconds it asked to be left alone."""

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.retry_after = message, code, retry_after


@dataclass(frozen=True, slots=True)
class RemoteReply:
    """What it answered; `cost` is None where it does not say."""

    text: str
    data: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None


async def ask(
    spec: AgentSpec,
    question: Mapping[str, Any],
    *,
    idempotency_key: str,
    api_key: str | None,
    allowed_hosts: Sequence[str] | None,
) -> RemoteReply:
    """The agent's answer. RemoteFailure `rate_limited`, `overloaded`, `auth`, `bad_request`,
    `timeout`, `unreachable`, `refused` or `malformed` where there is none."""
    headers = {"Idempotency-Key": idempotency_key, "Accept": "application/json"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    try:
        found = await egress.request(
            "POST",
            spec.config["url"],
            timeout=spec.timeout_seconds,
            max_bytes=LONGEST_ANSWER_BYTES,
            allowed_hosts=allowed_hosts,
            headers=headers,
            json=dict(question),
        )
    except EgressRefused as exc:
        raise RemoteFailure(str(exc), code="refused") from exc
    except EgressTimeout as exc:
        raise RemoteFailure(str(exc), code="timeout") from exc
    except EgressError as exc:
        raise RemoteFailure(str(exc), code="unreachable") from exc
    if found.status_code >= 300:
        raise _refusal(spec, found.status_code, found.headers.get("retry-after"))
    return _reply(spec, found.content, found.headers.get("content-type", ""))


def _refusal(spec: AgentSpec, status: int, after: str | None) -> RemoteFailure:
    code = {401: "auth", 403: "auth", 408: "timeout", 429: "rate_limited"}.get(status)
    code = code or ("overloaded" if status >= 500 else "bad_request")
    seconds = float(after) if after and after.isascii() and after.isdigit() else None
    return RemoteFailure(f"{spec.slug} answered {status}.", code=code, retry_after=seconds)


def _reply(spec: AgentSpec, content: bytes, kind: str) -> RemoteReply:
    text = content.decode(errors="replace")
    if "json" not in kind:
        return RemoteReply(text)
    try:
        told = strict_loads(content)
    except Exception as exc:
        message = f"{spec.slug} says that it answers JSON, but does not."
        raise RemoteFailure(message, code="malformed") from exc
    if not isinstance(told, dict):
        return RemoteReply(text, told)
    usage = told.get("usage") if isinstance(told.get("usage"), dict) else {}
    words = told.get("text")
    return RemoteReply(
        text=words if isinstance(words, str) else "" if "data" in told else text,
        data=told.get("data"),
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cost=_cost(usage.get("cost")),
    )


def _count(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return min(max(value, 0), 2**53) if is_number else 0


def _cost(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found <= MOST_COST else None

"""One call of a tool: what is called, with what, what comes out, and how it fails."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from controlplane.kit.errors import DomainError, FieldProblem

Pool = Literal["io", "cpu", "inline"]
# not_sent: certainly nothing happened outside. answered: the other side said how it went.
# unknown: the call left, and nobody can know what became of it.
Fate = Literal["not_sent", "answered", "unknown"]
Log = Callable[[str, str, Mapping[str, Any] | None], None]


class ToolError(DomainError):
    """A call that brought no result. `retryable`: the same call may succeed later, not before
    `retry_after_seconds`. `fate`: what is known of its effect. `request` and `response`: what was
    seen of it, secrets masked."""

    status = 502
    code = "tool_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        fate: Fate = "not_sent",
        errors: Iterable[FieldProblem] = (),
        request: Mapping[str, Any] | None = None,
        response: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, code=code, errors=errors)
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.fate = fate
        self.request = request
        self.response = response
        self.latency_ms: float | None = None
        # What the other side now says of the tool, where that is why the call was not made; the
        # caller, who has a database, keeps it (`tools.pinned.hold`).
        self.definition: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The error as a step or an answer keeps it."""
        return {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "errors": [fault.as_dict() for fault in self.errors],
        }


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A decrypted secret and the hosts it may go to. Never printed."""

    name: str
    value: str = field(repr=False)
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallable:
    """A tool version with everything a call needs, read once, so that no database is touched
    during the call. `effect_class` is what counts for the engine: `read` also where installed
    code declares that its function changes nothing. `refusal` says why it may not be called."""

    version_id: UUID | None
    tool_id: UUID | None
    project_id: UUID | None
    slug: str
    name: str
    number: int
    kind: str
    config: Mapping[str, Any]
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    effect_class: str = "unsafe"
    stakes: str = "write"
    rate_limit: Mapping[str, Any] | None = None
    # Whom to ask whether a call in doubt happened, and what undoes one; see tools.recovery.
    effect_check: Mapping[str, Any] | None = None
    effect_undo: Mapping[str, Any] | None = None
    timeout_seconds: float = 30.0
    pool: Pool = "io"
    secret_names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str = ""
    refusal_code: str = ""
    refusal: str = ""

    def facts(self) -> dict[str, Any]:
        """The tool as policies see it: every key is always there."""
        return {
            "id": str(self.tool_id or ""),
            "slug": self.slug,
            "name": self.name,
            "kind": self.kind,
            "version": self.number,
            "effect_class": self.effect_class,
            "stakes": self.stakes,
            "tags": list(self.tags),
        }


def silent(level: str, message: str, data: Mapping[str, Any] | None = None) -> None:
    """A log that keeps nothing."""


def never() -> bool:
    """A flag that is never set."""
    return False


@dataclass(slots=True)
class CallContext:
    """What the caller brings to a call: resolved secrets, the key that marks a repetition, a
    shorter time than the tool's own, where log lines go, and whether the call was cancelled."""

    secrets: Mapping[str, SecretValue] = field(default_factory=dict)
    idempotency_key: str = ""
    timeout_seconds: float | None = None
    simulate: bool = False
    log: Log = silent
    is_cancelled: Callable[[], bool] = never
    # How a tool of kind agent has its agent work: (slug, prompt) → result.
    call_agent: "Callable[[str, str], Awaitable[Result]] | None" = None


@dataclass(slots=True)
class Call:
    """One call as its kind sees it."""

    tool: ToolCallable
    arguments: dict[str, Any]
    context: CallContext
    timeout_seconds: float


@dataclass(slots=True)
class Result:
    """What a call brought. `request` and `response` are records for people, secrets masked."""

    output: Any
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    latency_ms: float = 0.0
    simulated: bool = False
    # What the call cost by itself, where it is known.
    cost: Decimal | None = None

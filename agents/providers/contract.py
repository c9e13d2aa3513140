"""What a model provider takes and gives, whatever the vendor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "tool_calls", "length", "refusal"]
ErrorCode = Literal[
    "rate_limited",
    "overloaded",
    "auth",
    "content",
    "bad_request",
    "timeout",
    "unreachable",
    "malformed",
]
DEFAULT_TIMEOUT_SECONDS = 300.0


class ProviderError(Exception):
    """A model call that brought no answer.

    `retryable`: whether the same call may succeed later; `retry_after`: seconds the provider asked
    for, or None; `status`: HTTP status where there was one.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class. `input_tokens` include those read from and written to a cache,
    `output_tokens` the reasoning, `cache_write_tokens` those kept for an hour. Where a server does
    not tell, the counts are an estimate and `is_reported` is False."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_hour_tokens: int = 0
    reasoning_tokens: int = 0
    is_reported: bool = True


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model.

    `messages` are plain dicts: {role: user, content}, {role: assistant, content, raw} with the
    answer's own `raw`, {role: tool, call_id, name, content, is_error}. `timeout` in seconds covers
    the whole call. `on_delta` gets each piece of text as it arrives. `allowed_hosts` are those of
    the secret: the key goes nowhere else.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    allowed_hosts: Sequence[str] | None = None
    instructions: str = ""
    tools: Sequence[ToolDefinition] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    on_delta: Callable[[str], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said. `raw` is the assistant message in the provider's own form, for the next
    turn; all of it is JSON. `refusal` is the model's own words where it declined."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    usage: Usage
    response_model: str
    latency_ms: float
    first_token_ms: float | None
    raw: Mapping[str, Any]
    refusal: str = ""


class Provider(Protocol):
    """One way to reach models."""

    can_call_tools: bool

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """The answer to a request; streams inside. ProviderError where there is none."""
        ...

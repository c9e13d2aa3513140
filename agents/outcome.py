"""What an agent's loop asks of its surroundings and what it brings back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol

from agents.providers.contract import ModelAnswer, ModelRequest, Usage
from agents.rates import PricedUsage
from controlplane.kit.gate import Verdict

CheckpointKind = Literal["model", "tool"]
LogLevel = Literal["debug", "info", "warning", "error"]
# Why a loop ended without a full answer.
STOP_CODES = (
    "limit_turns",
    "limit_tokens",
    "limit_cost",
    "limit_seconds",
    "cancelled",
    "policy_denied",
    "model_refused",
    "answer_empty",
    "answer_cut",
    "answer_invalid",
)


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A model's answer with what it cost."""

    answer: ModelAnswer
    price: PricedUsage


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What a tool brought: `content` is JSON; errors are told to the model, which may go on."""

    content: Any
    is_error: bool = False
    code: str = ""
    cost: Decimal | None = None


class LoopPorts(Protocol):
    """The loop's surroundings. An exception out of any of them ends the loop as it is: that is
    how an engine makes the step wait, fail or be retried; what was checkpointed stays."""

    async def call_model(self, request: ModelRequest) -> ModelReply:
        """Call the model. ProviderError where there is no answer."""

    async def call_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> ToolReply:
        """Call a tool. `ordinal` counts the calls of the loop and is the same again after a crash,
        so that it may go into the key of an effect."""

    async def save_checkpoint(
        self, ordinal: int, kind: CheckpointKind, content: dict[str, Any]
    ) -> None:
        """Keep the result of a call; the loop goes on when it is kept."""

    async def check_model(self, request: ModelRequest) -> Verdict:
        """Whether the model may be called."""

    async def check_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> Verdict:
        """Whether the tool may be called with these arguments."""

    def is_cancelled(self) -> bool:
        """Whether no further call may start."""

    def log(self, level: LogLevel, message: str, data: Mapping[str, Any] | None = None) -> None:
        """One line of the run's log."""

    def on_delta(self, text: str) -> None:
        """A piece of the model's text, as it is written."""


@dataclass(slots=True)
class Totals:
    """What a loop used, replayed calls included. `cost` is None if nothing was priced."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    currency: str = "USD"
    unpriced_calls: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def add_model(self, usage: Usage, price: PricedUsage) -> None:
        """Count a model call."""
        self.model_calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if price.cost is None:
            self.unpriced_calls += 1
        else:
            self._add(price.cost, price.currency)

    def add_tool(self, cost: Decimal | None) -> None:
        """Count a tool call."""
        self.tool_calls += 1
        if cost is not None:
            self._add(cost, self.currency)

    def _add(self, cost: Decimal, currency: str) -> None:
        if self.cost is None:
            self.cost, self.currency = cost, currency
        elif currency == self.currency:
            self.cost += cost
        else:
            # Two currencies in one task: sums would lie.
            self.unpriced_calls += 1

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """How a loop ended. `output` is {text, data, turns}, also where it was stopped; then `code` is
    one of STOP_CODES (or a verdict's own) and `message` says why in a sentence."""

    output: dict[str, Any]
    totals: Totals
    elapsed_ms: float
    code: str = ""
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether there is a full answer."""
        return not self.code

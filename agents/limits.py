"""The bounds of a loop: turns, tokens, cost and working time."""

from collections.abc import Callable
from typing import Any

from agents.outcome import Totals
from agents.spec import Limits

# Near its end a token limit also bounds the answer itself.
_NEAR_TOKENS = 4096


class Stop(Exception):
    """The loop ends here, for a reason with a code; without one it ends well."""

    def __init__(self, code: str = "", message: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class Meter:
    """What a loop used against what it may. `before_ms` is the working time before a resumption,
    `clock` counts seconds."""

    def __init__(
        self, limits: Limits, totals: Totals, before_ms: float, clock: Callable[[], float]
    ) -> None:
        self.limits = limits
        self.totals = totals
        self._before_ms = before_ms
        self._clock = clock
        self._began = clock()
        self._was_blind = False

    @property
    def elapsed_ms(self) -> float:
        """Working time so far; waiting between two resumptions does not count."""
        return self._before_ms + (self._clock() - self._began) * 1000

    @property
    def is_late(self) -> bool:
        """Whether the time is up, give or take the hair by which a call's own timer is early."""
        seconds = self.limits.seconds
        return seconds is not None and self.elapsed_ms >= seconds * 1000 - 50

    def went_blind(self) -> bool:
        """True the first time a cost limit meets calls without a price."""
        is_blind = self.limits.cost is not None and self.totals.unpriced_calls > 0
        was_blind, self._was_blind = self._was_blind, is_blind
        return is_blind and not was_blind

    def late(self) -> Stop:
        """The end for want of time."""
        return Stop("limit_seconds", f"The limit of {self.limits.seconds:g} seconds is reached.")

    def check(self) -> None:
        """Stop where a limit is reached and another model call would go beyond it."""
        limits, used = self.limits, self.totals
        if used.model_calls >= limits.turns:
            raise Stop("limit_turns", f"The limit of {limits.turns} turns is reached.")
        if limits.tokens is not None and used.tokens >= limits.tokens:
            raise Stop(
                "limit_tokens",
                f"The limit of {limits.tokens} tokens is reached: {used.tokens} were used.",
            )
        if limits.cost is not None and used.cost is not None and used.cost >= limits.cost:
            raise Stop(
                "limit_cost",
                f"The limit of {limits.cost} {used.currency} is reached: {used.cost.normalize():f} "
                "were spent.",
            )
        if self.is_late:
            raise self.late()

    def max_tokens(self, configured: int | None) -> int | None:
        """The bound of the next answer: as configured, and never beyond the token limit where that
        is near; None leaves it to the server."""
        if self.limits.tokens is None:
            return configured
        left = max(1, self.limits.tokens - self.totals.tokens)
        if configured is None:
            return left if left <= _NEAR_TOKENS else None
        return min(configured, left)

    def timeout(self, seconds: float) -> float:
        """The time the next model call may take."""
        if self.limits.seconds is None:
            return seconds
        return max(0.1, min(seconds, self.limits.seconds - self.elapsed_ms / 1000))

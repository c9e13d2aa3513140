"""Prices of tokens and what a call costs by them: pure, in Decimal."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from agents.providers.contract import Usage

PriceStatus = Literal["priced", "free", "unpriced"]
_MILLION = Decimal(1_000_000)
_SMALLEST = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices per million tokens by class; None means the price of the class it is part of."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_hour: Decimal | None = None
    reasoning: Decimal | None = None
    request: Decimal = Decimal(0)
    currency: str = "USD"

    @property
    def is_free(self) -> bool:
        """Whether nothing of it costs anything."""
        parts = (self.cache_read, self.cache_write, self.cache_write_hour, self.reasoning)
        return not any((self.input, self.output, self.request, *parts))


@dataclass(frozen=True, slots=True)
class PricedUsage:
    """What a call cost: `cost` is None where no price is known, never 0 for want of one."""

    cost: Decimal | None
    currency: str = "USD"
    price_status: PriceStatus = "unpriced"


UNPRICED = PricedUsage(None)
FREE = PricedUsage(Decimal(0), "USD", "free")


def _or(price: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if price is None else price


def cost(usage: Usage, rates: Rates) -> Decimal:
    """The cost of a call, to 12 decimal places.

    (input − cache_read − cache_write)·input + cache_read·cache_read + cache_write·cache_write
    + (output − reasoning)·output + reasoning·reasoning + the price of a request. Cached and
    reasoning tokens are part of the input and the output; counting them twice is the common bug.
    """
    write = _or(rates.cache_write, rates.input)
    short = usage.cache_write_tokens - usage.cache_write_hour_tokens
    fresh = max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens)
    total = (
        fresh * rates.input
        + usage.cache_read_tokens * _or(rates.cache_read, rates.input)
        + short * write
        + usage.cache_write_hour_tokens * _or(rates.cache_write_hour, write)
        + (usage.output_tokens - usage.reasoning_tokens) * rates.output
        + usage.reasoning_tokens * _or(rates.reasoning, rates.output)
    )
    return (total / _MILLION + rates.request).quantize(_SMALLEST, ROUND_HALF_UP)


def priced(usage: Usage, rates: Rates | None) -> PricedUsage:
    """The cost of a call, or that it is free or unpriced. Tokens that are only a guess have no
    price either, unless they would be free."""
    if rates is None:
        return UNPRICED
    if rates.is_free:
        return PricedUsage(Decimal(0), rates.currency, "free")
    if not usage.is_reported:
        return PricedUsage(None, rates.currency)
    return PricedUsage(cost(usage, rates), rates.currency, "priced")


def most(input_tokens: int, max_tokens: int, rates: Rates | None) -> PricedUsage:
    """The most a call of that size can cost: every class at its dearest."""
    if rates is None:
        return UNPRICED
    if rates.is_free:
        return PricedUsage(Decimal(0), rates.currency, "free")
    written = (rates.input, rates.cache_write, rates.cache_write_hour)
    read = max(price for price in written if price is not None)
    write = max(rates.output, _or(rates.reasoning, rates.output))
    total = (input_tokens * read + max_tokens * write) / _MILLION + rates.request
    return PricedUsage(total.quantize(_SMALLEST, ROUND_HALF_UP), rates.currency, "priced")


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """A dated price set by an operator or imported. `is_project`: for one project only; `model`
    may end in `*`."""

    provider: str
    model: str
    effective_from: datetime
    is_project: bool
    is_operator: bool
    rates: Rates
    effective_until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at a time."""
        ended = self.effective_until is not None and self.effective_until <= at
        return self.effective_from <= at and not ended

    def names(self, provider: str, model: str) -> bool:
        """Whether it is about that model."""
        if self.provider != provider:
            return False
        if self.model.endswith("*"):
            return model.startswith(self.model[:-1])
        return self.model == model


def own_rates(
    prices: Iterable[OwnPrice], provider: str, models: Iterable[str], at: datetime
) -> Rates | None:
    """The price in force: an operator's before an imported one, the project's before everybody's,
    the exact name before a pattern, the newest of those; None where there is none.

    `models` are the names to look for, best first.
    """
    prices = [price for price in prices if price.holds(at)]
    for model in models:
        found = [price for price in prices if price.names(provider, model)]
        if found:
            return max(found, key=_precedence).rates
    return None


def _precedence(price: OwnPrice) -> tuple[bool, bool, bool, int, datetime]:
    is_exact = not price.model.endswith("*")
    return (price.is_operator, price.is_project, is_exact, len(price.model), price.effective_from)

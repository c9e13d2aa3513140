"""What model calls cost: the operator's own dated prices first, then the bundled table."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from agents import bundled_prices
from agents.models import ModelPrice
from agents.providers import HOME
from agents.providers.contract import ModelRequest, Usage
from agents.providers.estimates import most_input_tokens
from agents.rates import FREE, OwnPrice, PricedUsage, Rates, most, own_rates, priced

# A new price of an operator counts after this long at the latest.
FRESH_SECONDS = 15.0
# Reserved for an answer nobody bounded and whose model the table does not know.
LONGEST_ANSWER = 16_384


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices a project's calls are counted by; pure, so that it may be asked anywhere."""

    own: tuple[OwnPrice, ...] = ()

    def rates(
        self,
        provider: str,
        base_url: str | None,
        models: Iterable[str],
        *,
        input_tokens: int = 0,
        at: datetime | None = None,
    ) -> Rates | None:
        """The prices in force for a model known by any of these names, best first; None where
        there are none. May load the bundled table, which blocks for half a second once."""
        at, names = at or timezone.now(), [name for name in models if name]
        if found := own_rates(self.own, provider, names, at):
            return found
        home = base_url or HOME.get(provider)
        if home is None:
            return None
        return bundled_prices.rates(home, names, input_tokens=input_tokens, at=at)

    def price(
        self,
        usage: Usage,
        *,
        provider: str,
        model: str,
        response_model: str = "",
        base_url: str | None = None,
        at: datetime | None = None,
    ) -> PricedUsage:
        """The cost of a call that was made at `at` (now). The embedded model is free."""
        if provider == "embedded":
            return FREE
        rates = self.rates(
            provider, base_url, (response_model, model), input_tokens=usage.input_tokens, at=at
        )
        return priced(usage, rates)

    async def aprice(
        self,
        usage: Usage,
        *,
        provider: str,
        model: str,
        response_model: str = "",
        base_url: str | None = None,
        at: datetime | None = None,
    ) -> PricedUsage:
        """`price` for asyncio: the first load of the bundled table happens on a thread."""
        home = base_url or HOME.get(provider)
        if home and bundled_prices.may_know(home):
            await bundled_prices.load()
        return self.price(
            usage,
            provider=provider,
            model=model,
            response_model=response_model,
            base_url=base_url,
            at=at,
        )

    def worst_case(self, provider: str, request: ModelRequest) -> PricedUsage:
        """The most a request can cost, for a reservation before the call."""
        if provider == "embedded":
            return FREE
        read = most_input_tokens(request)
        rates = self.rates(provider, request.base_url, (request.model,), input_tokens=read)
        return most(read, request.max_tokens or LONGEST_ANSWER, rates)


_lists: dict[UUID, tuple[float, PriceList]] = {}


def price_list(project_id: UUID) -> PriceList:
    """The prices of a project, at most FRESH_SECONDS old; reads the database."""
    known = _lists.get(project_id)
    if known and time.monotonic() - known[0] < FRESH_SECONDS:
        return known[1]
    rows = ModelPrice.objects.filter(Q(project=None) | Q(project_id=project_id))
    found = PriceList(tuple(_own(row) for row in rows))
    _lists[project_id] = (time.monotonic(), found)
    return found


def forget() -> None:
    """Read all prices anew at the next question."""
    _lists.clear()


def _own(row: ModelPrice) -> OwnPrice:
    return OwnPrice(
        provider=row.provider,
        model=row.model,
        effective_from=row.effective_from,
        effective_until=row.effective_until,
        is_project=row.project_id is not None,
        is_operator=row.source == ModelPrice.Source.OPERATOR,
        rates=Rates(
            input=row.input_per_million,
            output=row.output_per_million,
            cache_read=row.cache_read_per_million,
            cache_write=row.cache_write_per_million,
            reasoning=row.reasoning_per_million,
            currency=row.currency,
        ),
    )


def total(costs: Iterable[PricedUsage]) -> tuple[Decimal | None, str, int]:
    """(cost, currency, unpriced calls) of several calls; cost is None if nothing was priced."""
    known: Decimal | None = None
    currency, missing = "", 0
    for each in costs:
        if each.cost is None or (currency and each.currency != currency):
            missing += 1
            continue
        known, currency = (known or Decimal(0)) + each.cost, each.currency
    return known, currency or "USD", missing

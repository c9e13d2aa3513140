"""Which price is in force for a model, and who says so."""

from typing import Any
from uuid import UUID

from django.utils import timezone

from agents.models import ModelPrice
from agents.pricing import PriceList, price_list
from agents.rates import Rates, own_rates
from controlplane.kit.json import money


def in_force(project_id: UUID, provider: str, model: str, base_url: str | None) -> dict[str, Any]:
    """{provider, model, status, source, currency, input_per_million, output_per_million}; `source`
    is operator, import, bundled, or empty where nobody knows a price."""
    prices: PriceList = price_list(project_id)
    own = own_rates(prices.own, provider, (model,), timezone.now())
    rates = own or prices.rates(provider, base_url, (model,))
    source = ""
    if provider == "embedded":
        rates, source = None, "bundled"
    elif own is not None:
        named = [price for price in prices.own if price.rates is own]
        is_operator = bool(named) and named[0].is_operator
        source = ModelPrice.Source.OPERATOR if is_operator else ModelPrice.Source.IMPORT
    elif rates is not None:
        source = "bundled"
    return {
        "provider": provider,
        "model": model,
        "status": _status(provider, rates),
        "source": str(source),
        "currency": rates.currency if rates else "USD",
        "input_per_million": money(rates.input) if rates else None,
        "output_per_million": money(rates.output) if rates else None,
    }


def _status(provider: str, rates: Rates | None) -> str:
    if provider == "embedded" or (rates is not None and rates.is_free):
        return "free"
    return "unpriced" if rates is None else "priced"

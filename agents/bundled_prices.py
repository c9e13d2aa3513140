"""Prices out of the bundled table of genai-prices; works offline."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.utils.module_loading import import_string

from agents.rates import Rates

_THOUSAND = Decimal(1000)


def may_know(base_url: str) -> bool:
    """Whether the table can hold prices of a server at all: it lists public services, so numeric
    and local addresses need not load it (40 MB, half a second)."""
    host = urlsplit(base_url).hostname or ""
    if "." not in host or host.endswith((".local", ".internal", ".localhost")):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


@lru_cache(maxsize=1)
def _table() -> Any:
    return import_string("genai_prices.data_snapshot.get_snapshot")()


async def load() -> None:
    """Have the table in memory, without holding up the event loop."""
    if not _table.cache_info().currsize:
        await asyncio.to_thread(_table)


def _model(base_url: str, models: Iterable[str]) -> Any:
    for name in models:
        try:
            return _table().find_provider_model(name, None, None, base_url)[1]
        except LookupError:
            continue
    return None


def context_window(base_url: str, model: str) -> int | None:
    """The most tokens a model takes, where the table tells."""
    found = _model(base_url, [model]) if may_know(base_url) else None
    return found.context_window if found else None


def rates(base_url: str, models: Iterable[str], *, input_tokens: int, at: datetime) -> Rates | None:
    """The prices of a model at a time, of the tier that so many input tokens fall into; None
    where the table does not know it. `models` are its names, best first."""
    if not may_know(base_url):
        return None
    model = _model(base_url, models)
    if model is None:
        return None
    prices = model.get_prices(at)

    def price(key: str) -> Decimal | None:
        found = getattr(prices, key, None)
        for tier in reversed(getattr(found, "tiers", ())):
            if input_tokens > tier.start:
                return tier.price
        return getattr(found, "base", found)

    read, write = price("input_mtok"), price("output_mtok")
    if read is None or write is None:
        return None
    return Rates(
        input=read,
        output=write,
        cache_read=price("cache_read_mtok"),
        cache_write=price("cache_write_mtok"),
        cache_write_hour=price("cache_write_1h_mtok"),
        reasoning=price("output_reasoning_mtok"),
        request=(price("requests_kcount") or Decimal(0)) / _THOUSAND,
    )

"""One model call: made, priced and told as the columns of a ModelCall row."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from agents import providers
from agents.outcome import ModelReply
from agents.pricing import PriceList
from agents.providers.contract import ModelRequest, ProviderError, Usage
from agents.rates import FREE, UNPRICED, PricedUsage
from controlplane.kit.ids import uuid7

Record = dict[str, Any]
_UNBILLED = ("rate_limited", "overloaded", "auth", "content", "bad_request", "unreachable")


async def call_model(
    provider: str,
    request: ModelRequest,
    *,
    prices: PriceList,
    record: Callable[[Record], None],
) -> ModelReply:
    """Call a model and price the answer.

    `record` gets the columns of the ModelCall row that are known here, also of a call that failed
    (state "failed") or was cancelled; project, agent, run and turn are the caller's. ProviderError
    where there is no answer.
    """
    works = await providers.load(provider)
    started_at, began = timezone.now(), time.perf_counter()
    try:
        answer = await works.complete(request)
    except BaseException as exc:
        code = exc.code if isinstance(exc, ProviderError) else "cancelled"
        elapsed = (time.perf_counter() - began) * 1000
        record(_columns(provider, request, started_at, elapsed, error_code=code))
        raise
    price = await prices.aprice(
        answer.usage,
        provider=provider,
        model=request.model,
        response_model=answer.response_model,
        base_url=request.base_url,
        at=started_at,
    )
    columns = _columns(provider, request, started_at, answer.latency_ms, answer.usage, price)
    columns["response_model"] = answer.response_model[:120]
    columns["finish_reason"] = answer.finish_reason
    columns["first_token_ms"] = _ms(answer.first_token_ms)
    record(columns)
    return ModelReply(answer, price)


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _columns(
    provider: str,
    request: ModelRequest,
    started_at: datetime,
    latency_ms: float,
    usage: Usage | None = None,
    price: PricedUsage | None = None,
    error_code: str = "",
) -> Record:
    identity: UUID = uuid7()
    if price is None:
        # A refusal costs nothing; what a call cost that broke off, nobody knows.
        price = FREE if error_code in _UNBILLED else UNPRICED
    used = usage or Usage()
    return {
        "id": identity,
        "provider": provider,
        "model": request.model[:120],
        "response_model": "",
        "state": "failed" if error_code else "succeeded",
        "error_code": error_code,
        "finish_reason": "",
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cache_read_tokens": used.cache_read_tokens,
        "cache_write_tokens": used.cache_write_tokens,
        "reasoning_tokens": used.reasoning_tokens,
        "latency_ms": _ms(latency_ms),
        "first_token_ms": None,
        "cost": price.cost,
        "currency": price.currency,
        "price_status": price.price_status,
        "started_at": started_at,
    }

"""One model call, priced and told as the columns of its row."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.calls import call_model
from agents.models import ModelCall
from agents.pricing import PriceList
from agents.providers.contract import ModelRequest, ProviderError
from agents.rates import OwnPrice, Rates
from agents.turns import user
from tests.support.model_servers import OpenAIServer, Reply

PRICES = PriceList(
    (
        OwnPrice(
            "openai",
            "m",
            datetime(2020, 1, 1, tzinfo=UTC),
            False,
            True,
            Rates(Decimal(1_000_000), Decimal(2_000_000)),
        ),
    )
)


@pytest.fixture(autouse=True)
def _local_servers(settings):
    settings.SPARKOPS_EGRESS_ALLOW = ["127.0.0.0/8"]


async def call(reply, **more):
    told = []
    with OpenAIServer(reply) as server:
        request = ModelRequest(model="m", messages=[user("Hi")], base_url=server.base_url, **more)
        try:
            return await call_model("openai", request, prices=PRICES, record=told.append), told
        except ProviderError as exc:
            return exc, told


async def test_a_good_call_is_priced_and_told():
    reply, (row,) = await call(Reply(text="Yes.", tokens=(3, 4), cached=1, reasoning=2))
    assert (reply.price.cost, reply.price.price_status) == (11, "priced")
    assert (row["state"], row["error_code"], row["finish_reason"]) == ("succeeded", "", "stop")
    assert (row["input_tokens"], row["cache_read_tokens"], row["reasoning_tokens"]) == (3, 1, 2)
    assert row["cost"] == 11
    assert row["latency_ms"] >= row["first_token_ms"] > 0
    assert set(row) <= {field.attname for field in ModelCall._meta.concrete_fields}


async def test_a_refused_call_is_told_and_free_one_that_broke_off_is_unpriced():
    error, (row,) = await call(Reply(status=429))
    assert (error.code, row["state"], row["error_code"]) == (
        "rate_limited",
        "failed",
        "rate_limited",
    )
    assert (row["cost"], row["price_status"]) == (0, "free")
    _, (row,) = await call(Reply(delay=9), timeout=0.2)
    assert (row["error_code"], row["cost"], row["price_status"]) == ("timeout", None, "unpriced")


async def test_a_cancelled_call_is_told_too():
    told = []
    with OpenAIServer(Reply(delay=9)) as server:
        request = ModelRequest(model="m", messages=[user("Hi")], base_url=server.base_url)
        work = asyncio.create_task(call_model("openai", request, prices=PRICES, record=told.append))
        while not server.requests:
            await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert [(row["state"], row["error_code"]) for row in told] == [("failed", "cancelled")]


async def test_an_unknown_provider_says_which_there_are():
    with pytest.raises(ProviderError, match="openai, anthropic, embedded"):
        await call_model(
            "acme", ModelRequest(model="m", messages=[]), prices=PRICES, record=lambda row: None
        )

"""What calls cost: the formula, the bundled table, the operator's own prices."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import bundled_prices, pricing
from agents.pricing import PriceList
from agents.providers.contract import ModelRequest, Usage
from agents.providers.estimates import most_input_tokens
from agents.rates import OwnPrice, PricedUsage, Rates, cost, most, own_rates, priced

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RATES = Rates(
    Decimal(2),
    Decimal(10),
    cache_read=Decimal("0.5"),
    cache_write=Decimal("2.5"),
    reasoning=Decimal(20),
)


def test_each_class_of_tokens_is_counted_once_at_its_own_price():
    usage = Usage(
        1_000_000,
        100_000,
        cache_read_tokens=600_000,
        cache_write_tokens=100_000,
        reasoning_tokens=40_000,
    )
    assert cost(usage, RATES) == Decimal("0.6") + Decimal("0.3") + Decimal("0.25") + (
        Decimal("0.6") + Decimal("0.8")
    )


def test_a_class_without_a_price_costs_what_its_whole_costs():
    usage = Usage(1_000_000, 1_000_000, cache_read_tokens=500_000, reasoning_tokens=500_000)
    assert cost(usage, Rates(Decimal(2), Decimal(10))) == 12


def test_an_hour_in_the_cache_has_its_own_price():
    usage = Usage(100, 0, cache_write_tokens=100, cache_write_hour_tokens=60)
    rates = Rates(Decimal(1), Decimal(1), cache_write=Decimal(10), cache_write_hour=Decimal(20))
    assert cost(usage, rates) == Decimal("0.0016")


def test_small_prices_keep_twelve_places():
    assert cost(Usage(1, 0), Rates(Decimal("0.03"), Decimal(0))) == Decimal("0.00000003")


def test_no_price_is_unpriced_and_never_zero():
    assert priced(Usage(10, 10), None) == PricedUsage(None, "USD", "unpriced")
    found = priced(Usage(10, 10, is_reported=False), RATES)
    assert (found.cost, found.price_status) == (None, "unpriced")


def test_a_price_of_nothing_is_free():
    assert priced(Usage(10, 10), Rates(Decimal(0), Decimal(0))).price_status == "free"


counts = st.integers(0, 10_000)


@given(counts, counts, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_worst_case_is_never_below_the_cost(read, written, cached, kept, thought):
    usage = Usage(
        read,
        written,
        cache_read_tokens=int(read * cached * kept),
        cache_write_tokens=int(read * cached * (1 - kept)),
        reasoning_tokens=int(written * thought),
    )
    assert most(read, written, RATES).cost >= cost(usage, RATES) >= 0


def test_the_bundled_table_knows_the_usual_models_offline():
    usage = Usage(1_000_000, 100_000, cache_read_tokens=500_000)
    found = PriceList().price(usage, provider="openai", model="gpt-5-mini", at=NOW)
    assert found == PricedUsage(Decimal("0.3375"), "USD", "priced")
    found = PriceList().price(
        Usage(1000, 1000),
        provider="anthropic",
        model="claude-sonnet-4-5",
        response_model="claude-sonnet-4-5-20250929",
        at=NOW,
    )
    assert found.cost == Decimal("0.018")


def test_prices_of_the_bundled_table_step_up_with_long_inputs():
    def rates(tokens):
        return PriceList().rates("anthropic", None, ["claude-sonnet-4-5"], input_tokens=tokens)

    assert (rates(200_000).input, rates(200_001).input) == (Decimal(3), Decimal(6))


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:9/v1",
        "http://[::1]/v1",
        "http://model-server:8000/v1",
        "https://llm.internal/v1",
    ],
)
def test_a_server_of_ones_own_is_unpriced_without_loading_the_table(base_url, monkeypatch):
    monkeypatch.setattr(bundled_prices, "_table", None)
    found = PriceList().price(Usage(1, 1), provider="openai", model="gpt-5-mini", base_url=base_url)
    assert found.price_status == "unpriced"


def test_an_unknown_model_or_server_is_unpriced():
    for more in (
        {"model": "gpt-unheard-of"},
        {"model": "gpt-5-mini", "base_url": "https://models.example.org/v1"},
    ):
        found = PriceList().price(Usage(1, 1), provider="openai", **more)
        assert (found.cost, found.price_status) == (None, "unpriced")


async def test_a_price_asked_for_by_asyncio_is_the_same():
    usage, which = Usage(1000, 1000), {"provider": "openai", "model": "gpt-4o", "at": NOW}
    assert await PriceList().aprice(usage, **which) == PriceList().price(usage, **which)


def test_the_embedded_model_is_free():
    found = PriceList().price(Usage(9, 9, is_reported=False), provider="embedded", model="any")
    assert found == PricedUsage(Decimal(0), "USD", "free")


def own(price, model="gpt-5-mini", *, days=1, project=False, operator=True):
    return OwnPrice(
        "openai",
        model,
        NOW - timedelta(days=days),
        project,
        operator,
        Rates(Decimal(price), Decimal(price)),
    )


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([own(1), own(2, days=0)], 2),
        ([own(1), own(2, days=-1)], 1),
        ([own(1), own(2, operator=False, days=0)], 1),
        ([own(1), own(2, project=True, days=5)], 2),
        ([own(1, "gpt-5*", days=0), own(2, days=9)], 2),
        ([own(1, "gpt*"), own(2, "gpt-5*", days=9)], 2),
        ([own(1, "gpt-4*")], None),
    ],
)
def test_which_of_ones_own_prices_is_in_force(prices, expected):
    found = own_rates(prices, "openai", ["gpt-5-mini"], NOW)
    assert (found and found.input) == (expected and Decimal(expected))


def test_ones_own_price_comes_before_the_bundled_one():
    listed = PriceList((own(7),))
    found = listed.price(Usage(1_000_000, 0), provider="openai", model="gpt-5-mini", at=NOW)
    assert found.cost == 7


def test_the_worst_case_counts_everything_that_is_sent():
    message = {"role": "user", "content": "word " * 1000}
    request = ModelRequest(model="gpt-5-mini", messages=[message], max_tokens=1000)
    assert most_input_tokens(request) > 2000
    found = PriceList((own(1_000_000),)).worst_case("openai", request)
    assert found.cost == most_input_tokens(request) + 1000


def test_sums_leave_unpriced_calls_out_and_count_them():
    costs = [
        PricedUsage(Decimal(1), "USD", "priced"),
        PricedUsage(None),
        PricedUsage(Decimal(2), "USD", "priced"),
        PricedUsage(Decimal(1), "EUR", "priced"),
    ]
    assert pricing.total(costs) == (Decimal(3), "USD", 2)
    assert pricing.total([PricedUsage(None)]) == (None, "USD", 1)

"""The limits of the agent loop."""

from decimal import Decimal

from agents.limits import Meter
from agents.outcome import Totals
from agents.rates import UNPRICED
from agents.spec import Limits
from agents.tests.scripted import answer
from agents.tests.test_loop import run

ENDLESS = [answer("Working on it.", ("add", "{}"))]


async def test_turns_are_limited_and_the_last_words_kept():
    outcome, ports = await run(ENDLESS, limits={"turns": 3})
    assert (outcome.code, outcome.message) == ("limit_turns", "The limit of 3 turns is reached.")
    assert outcome.output == {"text": "Working on it.", "data": None, "turns": 3}
    assert ports.calls.count("model") == 3


async def test_tokens_are_limited():
    outcome, ports = await run(ENDLESS, limits={"tokens": 40})
    assert outcome.code == "limit_tokens"
    assert ports.calls.count("model") == 3
    assert [r.max_tokens for r in ports.requests] == [40, 25, 10]


async def test_a_configured_bound_of_answers_holds_while_the_token_limit_is_far():
    _, ports = await run([answer("x")], limits={"tokens": 50_000}, max_tokens=200)
    assert ports.requests[0].max_tokens == 200
    _, ports = await run([answer("x")], limits={"tokens": 50_000})
    assert ports.requests[0].max_tokens is None


async def test_cost_is_limited():
    outcome, ports = await run(ENDLESS, limits={"cost": Decimal("0.02")})
    assert outcome.code == "limit_cost"
    assert outcome.message == "The limit of 0.02 USD is reached: 0.02 were spent."
    assert ports.calls.count("model") == 2


async def test_a_cost_limit_without_a_price_is_warned_of_once_and_cost_stays_unknown():
    outcome, ports = await run(
        ENDLESS, limits={"turns": 4, "cost": Decimal(1)}, ports={"price": UNPRICED}
    )
    assert outcome.totals.cost is None
    assert outcome.totals.unpriced_calls == 4
    assert sum("cost limit cannot hold" in line for line in ports.lines) == 1


async def test_seconds_are_limited_over_resumptions():
    now = [0.0]
    meter = Meter(Limits(seconds=10), Totals(), before_ms=7_000, clock=lambda: now[0])
    assert meter.timeout(300) == 3
    meter.check()
    now[0] = 3.0
    assert meter.is_late
    assert meter.late().code == "limit_seconds"


async def test_a_late_resumption_calls_nothing():
    late = {"ordinal": 0, "kind": "tool", "content": {"elapsed_ms": 11_000}}
    outcome, ports = await run(
        [answer("x")], limits={"seconds": 10}, checkpoints=[{**late, "ordinal": 99}]
    )
    assert outcome.code == "limit_seconds"
    assert ports.calls == []

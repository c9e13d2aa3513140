"""A crash at every checkpoint: nothing finished is repeated, and the outcome is the same."""

import pytest

from agents.loop import run_agent
from agents.tests.scripted import TOOLS, Crash, ScriptedPorts, answer, spec

SCRIPT = [
    answer("Let me see.", ("add", '{"a": 1}'), ("look", "{}"), ("add", "broken")),
    answer("", ("look", '{"n": 2}')),
    answer(""),
    answer("It is three."),
]
FULL = 7  # four model calls and three tool calls


async def resume(ports: ScriptedPorts):
    return await run_agent(spec(), "Go.", ports=ports, tools=TOOLS, checkpoints=list(ports.saved))


async def outcome_without_crash():
    ports = ScriptedPorts(SCRIPT)
    return await run_agent(spec(), "Go.", ports=ports, tools=TOOLS), ports


@pytest.mark.parametrize("at", range(FULL))
async def test_a_crash_at_any_checkpoint_repeats_only_the_call_that_was_not_kept(at):
    whole, calm = await outcome_without_crash()
    assert len(calm.saved) == FULL
    ports = ScriptedPorts(SCRIPT, crash_after=at)
    with pytest.raises(Crash):
        await run_agent(spec(), "Go.", ports=ports, tools=TOOLS)
    kept = {row["ordinal"] for row in ports.saved}
    before, ports.crash_after = len(ports.calls), 10_000
    resumed = await resume(ports)
    assert resumed.output == whole.output
    assert resumed.totals == whole.totals
    again = {int(call.split(":")[1]) for call in ports.calls[before:] if ":" in call}
    assert not again & kept
    assert {row["ordinal"] for row in ports.saved} == {row["ordinal"] for row in calm.saved}


async def test_ordinals_are_those_of_the_models_order_whatever_finishes_first():
    _, ports = await outcome_without_crash()
    assert sorted(row["ordinal"] for row in ports.saved) == [0, 1, 2, 4, 5, 6, 7]
    assert ports.effects == [(1, "add"), (2, "look"), (5, "look")]


async def test_a_resumed_conversation_says_the_same_to_the_model():
    _, calm = await outcome_without_crash()
    ports = ScriptedPorts(SCRIPT, saved=[r for r in calm.saved if r["ordinal"] < 7])
    await resume(ports)
    assert ports.requests[0].messages == calm.requests[-1].messages


async def test_a_finished_loop_resumed_calls_nothing():
    whole, ports = await outcome_without_crash()
    ports.calls.clear()
    assert (await resume(ports)).output == whole.output
    assert ports.calls == []

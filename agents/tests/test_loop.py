"""The agent loop against scripted ports: answers, tools, what models do wrong."""

import pytest

from agents.loop import run_agent
from agents.outcome import Totals
from agents.providers.contract import ProviderError
from agents.tests.scripted import TOOLS, ScriptedPorts, answer, spec
from controlplane.kit.gate import Verdict


async def run(script, *, tools=TOOLS, checkpoints=(), prompt="Go.", **more):
    ports = ScriptedPorts(script, **more.pop("ports", {}))
    return await run_agent(
        spec(**more), prompt, ports=ports, tools=tools, checkpoints=checkpoints
    ), ports


async def test_an_answer_without_tools_ends_the_loop_at_once():
    outcome, ports = await run([answer("Take a hat.")])
    assert outcome.is_success
    assert outcome.output == {"text": "Take a hat.", "data": None, "turns": 1}
    assert [row["kind"] for row in ports.saved] == ["model"]


async def test_tools_are_called_and_their_results_told_to_the_model():
    script = [answer("", ("add", '{"a": 1}'), ("look", "{}")), answer("Done.")]
    outcome, ports = await run(script, ports={"tools": {"add": lambda a: {"sum": a["a"] + 1}}})
    told = [m for m in ports.requests[1].messages if m["role"] == "tool"]
    assert outcome.output["turns"] == 2
    assert [(m["call_id"], m["content"], m["is_error"]) for m in told] == [
        ("c0", '{"sum":2}', False),
        ("c1", "{}", False),
    ]
    assert ports.effects == [(1, "add"), (2, "look")]
    assert ports.requests[1].messages[1]["raw"]["calls"] == ["c0", "c1"]


async def test_totals_count_every_call():
    outcome, _ = await run([answer("", ("add", "{}")), answer("Done.")])
    totals = outcome.totals
    assert (totals.input_tokens, totals.output_tokens, str(totals.cost)) == (20, 10, "0.02")
    assert (totals.model_calls, totals.tool_calls, totals.unpriced_calls) == (2, 1, 0)


async def test_a_failing_tool_is_told_to_the_model_which_goes_on():
    def broken(arguments):
        raise ValueError("no such city")

    script = [answer("", ("look", "{}")), answer("I could not look.")]
    outcome, ports = await run(script, ports={"tools": {"look": broken}})
    assert outcome.output["text"] == "I could not look."
    assert ports.requests[1].messages[-1]["is_error"]
    assert ports.requests[1].messages[-1]["content"] == "no such city"


async def test_an_unknown_tool_is_answered_with_the_names_of_the_known_ones():
    outcome, ports = await run([answer("", ("teleport", "{}")), answer("Fine.")])
    message = ports.requests[1].messages[-1]
    assert outcome.is_success
    assert "no tool 'teleport'" in message["content"]
    assert "add, look" in message["content"]
    assert ports.effects == []


async def test_arguments_that_are_no_json_object_are_answered_back():
    for wrong in ('{"a": ', "[1]", '"x"', '{"a": NaN}', "[" * 100_000):
        outcome, ports = await run([answer("", ("add", wrong)), answer("Fine.")])
        message = ports.requests[1].messages[-1]
        assert outcome.is_success
        assert message["is_error"]
        assert message["content"].startswith("Not called: the arguments")
        assert ports.effects == []


async def test_a_long_tool_result_is_cut_and_says_so():
    script = [answer("", ("look", "{}")), answer("Fine.")]
    _, ports = await run(script, ports={"tools": {"look": lambda a: "x" * 100_000}})
    content = ports.requests[1].messages[-1]["content"]
    assert len(content) < 61_000
    assert content.endswith("[cut: 40000 more characters]")


async def test_what_cannot_be_stored_is_replaced_before_it_is_kept():
    script = [answer("", ("look", '{"q": "a\\u0000b"}')), answer("So\x00me \ud800 text")]
    outcome, ports = await run(script, ports={"tools": {"look": lambda a: a}})
    assert outcome.output["text"] == "So\ufffdme ? text"
    assert "\x00" not in repr([row["content"] for row in ports.saved])
    assert ports.requests[1].messages[-1]["content"] == '{"q":"a\ufffdb"}'


async def test_an_empty_answer_is_asked_for_again_once():
    outcome, ports = await run([answer(" "), answer("Here.")])
    assert outcome.output == {"text": "Here.", "data": None, "turns": 2}
    assert [m["role"] for m in ports.requests[1].messages] == ["user", "user"]
    outcome, _ = await run([answer(""), answer("")])
    assert outcome.code == "answer_empty"


async def test_an_answer_cut_before_any_word_says_so():
    outcome, _ = await run([answer("", finish="length")])
    assert outcome.code == "answer_cut"


async def test_a_refusal_ends_the_loop_with_the_models_words():
    outcome, ports = await run([answer("", finish="refusal", refusal="I will not.")])
    assert (outcome.code, outcome.message) == ("model_refused", "The model refused: I will not.")
    assert len(ports.saved) == 1


async def test_a_refusal_beside_calls_calls_nothing():
    outcome, ports = await run([answer("No.", ("add", "{}"), finish="refusal")])
    assert outcome.code == "model_refused"
    assert ports.effects == []


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def test_structured_output_is_parsed_and_checked():
    outcome, ports = await run([answer('```json\n{"n": 3}\n```')], output_schema=SCHEMA)
    assert outcome.output["data"] == {"n": 3}
    assert ports.requests[0].output_schema == SCHEMA


async def test_output_that_breaks_the_schema_gets_one_turn_of_repair():
    outcome, ports = await run([answer('{"n": "x"}'), answer('{"n": 4}')], output_schema=SCHEMA)
    assert outcome.output["data"] == {"n": 4}
    assert "- n:" in ports.requests[1].messages[-1]["content"]


async def test_output_that_breaks_the_schema_twice_fails_with_the_faults():
    outcome, ports = await run([answer("no json"), answer('{"m": 1}')], output_schema=SCHEMA)
    assert outcome.code == "answer_invalid"
    assert outcome.details["faults"][0]["field"] == "n"
    assert outcome.output["text"] == '{"m": 1}'
    assert len(ports.requests) == 2


async def test_a_denied_tool_call_is_told_to_the_model_and_kept():
    deny = Verdict("deny", "policy_denied", "Writes are frozen.")
    script = [answer("", ("add", "{}"), ("look", "{}")), answer("Then not.")]
    outcome, ports = await run(script, ports={"tool_verdicts": {"add": deny}})
    assert outcome.is_success
    assert ports.requests[1].messages[-2]["content"] == "Not called: Writes are frozen."
    assert ports.effects == [(2, "look")]
    # Policy has changed by the time of the resumption: what was said stays said.
    again = ScriptedPorts(script, saved=list(ports.saved))
    await run_agent(spec(), "Go.", ports=again, tools=TOOLS, checkpoints=ports.saved)
    assert again.calls == []


async def test_a_denied_model_call_stops_with_the_verdicts_code():
    deny = Verdict("deny", "budget_exhausted", "The budget is spent.")
    outcome, ports = await run([answer("x")], ports={"model_verdict": deny})
    assert (outcome.code, outcome.message) == ("budget_exhausted", "The budget is spent.")
    assert ports.calls == []


async def test_a_call_that_must_wait_lets_its_neighbours_finish_first():
    class Wait(Exception):
        pass

    script = [answer("", ("add", "{}"), ("look", "{}")), answer("Done.")]
    ports = ScriptedPorts(script, waits={"add": Wait()})
    with pytest.raises(Wait):
        await run_agent(spec(), "Go.", ports=ports, tools=TOOLS)
    assert ports.effects == [(2, "look")]
    ports.waits.clear()
    outcome = await run_agent(spec(), "Go.", ports=ports, tools=TOOLS, checkpoints=ports.saved)
    assert outcome.is_success
    assert ports.effects == [(2, "look"), (1, "add")]


async def test_a_provider_error_comes_through_and_totals_are_known():
    error = ProviderError("rate_limited", "slow down", retryable=True, retry_after=7)
    ports, totals = ScriptedPorts([answer("", ("add", "{}")), error]), Totals()
    with pytest.raises(ProviderError) as caught:
        await run_agent(spec(), "Go.", ports=ports, tools=TOOLS, totals=totals)
    assert caught.value is error
    assert (totals.model_calls, totals.tool_calls) == (1, 1)


async def test_after_a_cancel_no_further_call_starts():
    script = [answer("", ("add", "{}")), answer("Done.")]
    for after, made in ((0, 0), (1, 1), (2, 2)):
        outcome, ports = await run(script, ports={"cancel_after": after})
        assert outcome.code == "cancelled"
        assert len(ports.calls) == made

"""What compatible servers really send: oddities of streamed answers, without sockets."""

import pytest

from agents.providers import anthropic_fold, openai_fold
from agents.providers.contract import ModelRequest, ProviderError
from agents.providers.failures import retry_after
from agents.providers.schemas import is_strict

REQUEST = ModelRequest(model="m", messages=({"role": "user", "content": "Hi"},))


def folded(*deltas, finish="stop", usage=None):
    fold = openai_fold.Fold(None, 0.0)
    for delta in deltas:
        fold.take({"choices": [{"index": 0, "delta": delta}]})
    fold.take({"choices": [{"delta": {}, "finish_reason": finish}], "usage": usage})
    return fold.answer(REQUEST)


def call(**more):
    return {"tool_calls": [more]}


def test_calls_without_an_index_are_told_apart_by_their_ids():
    answer = folded(
        call(id="a", function={"name": "one", "arguments": '{"x":'}),
        call(function={"arguments": "1}"}),
        call(id="b", function={"name": "two", "arguments": {"y": 2}}),
    )
    assert [(c.id, c.name, c.arguments) for c in answer.tool_calls] == [
        ("a", "one", '{"x":1}'),
        ("b", "two", '{"y": 2}'),
    ]
    assert answer.finish_reason == "tool_calls"


def test_calls_without_ids_get_some():
    first, second = {"name": "one"}, {"name": "two"}
    answer = folded(call(index=0, function=first), call(index=1, function=second))
    assert [c.id for c in answer.tool_calls] == ["call_0", "call_1"]
    assert [c.arguments for c in answer.tool_calls] == ["{}", "{}"]


def test_content_in_parts_is_text():
    answer = folded({"content": [{"type": "text", "text": "Hel"}, {"text": "lo"}, "?"]})
    assert answer.text == "Hello"


def test_reasoning_outside_the_completion_is_counted_in():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    found = folded({"content": "x"}, usage=usage).usage
    assert (found.output_tokens, found.reasoning_tokens) == (25, 20)


def test_senseless_counts_do_not_go_below_zero_or_beyond_their_whole():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": -5,
        "prompt_tokens_details": None,
        "prompt_cache_hit_tokens": 99,
        "total_tokens": "many",
    }
    found = folded({"content": "x"}, usage=usage).usage
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == (10, 0, 10)


def test_only_the_first_choice_counts():
    fold = openai_fold.Fold(None, 0.0)
    fold.take({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]})
    with pytest.raises(ProviderError, match="ended before"):
        fold.answer(REQUEST)


def test_an_hour_of_cache_is_priced_apart():
    told = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 30,
        "output_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 20},
    }
    usage = anthropic_fold.usage_of(told)
    assert (usage.input_tokens, usage.cache_write_tokens, usage.cache_write_hour_tokens) == (
        35,
        30,
        20,
    )


def test_blocks_may_come_in_any_order():
    fold = anthropic_fold.Fold(None, 0.0)
    fold.take({"type": "content_block_start", "index": 1, "content_block": {"type": "text"}})
    fold.take(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "A"}}
    )
    fold.take(
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "B"}}
    )
    fold.take({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}})
    assert fold.answer(REQUEST).text == "AB"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "object", "properties": {}, "additionalProperties": False, "required": []}, True),
        ({"type": "object"}, False),
        ({"type": "array", "items": {"type": "string"}}, True),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"type": "string", "pattern": "a"}, False),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, False),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "required": [],
                "additionalProperties": False,
            },
            False,
        ),
    ],
)
def test_strict_modes_get_only_schemas_they_take(schema, fits):
    assert is_strict(schema) is fits

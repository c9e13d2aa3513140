"""The providers against servers that speak the two wire formats, over real sockets."""

import json
import time

import pytest

from agents.providers import load, provider_for
from agents.providers.contract import ModelRequest, ProviderError, ToolDefinition
from agents.turns import assistant, tool_result, user
from tests.support.model_servers import AnthropicServer, OpenAIServer, Reply

WIRES = {"openai": OpenAIServer, "anthropic": AnthropicServer}
both = pytest.mark.parametrize("wire", WIRES)
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _local_servers(settings):
    settings.SPARKOPS_EGRESS_ALLOW = ["127.0.0.0/8"]


def request(server, **more):
    messages = more.pop("messages", (user("Hi"),))
    return ModelRequest(
        model="m-1",
        messages=messages,
        base_url=server.base_url,
        **{"api_key": "sk-1", "timeout": 10, **more},
    )


async def complete(wire, *replies, **more):
    with WIRES[wire](*replies) as server:
        return await (await load(wire)).complete(request(server, **more)), server


async def failure(wire, reply, **more):
    with pytest.raises(ProviderError) as caught:
        await complete(wire, reply, **more)
    return caught.value


@both
async def test_text_is_streamed_and_put_together(wire):
    deltas = []
    answer, server = await complete(
        wire, Reply(text="Take a warm hat.", pause=0.01), on_delta=deltas.append
    )
    assert answer.text == "Take a warm hat." == "".join(deltas)
    assert len(deltas) == 3
    assert answer.finish_reason == "stop"
    assert answer.response_model == "m-1"
    assert 0 < answer.first_token_ms < answer.latency_ms
    assert server.requests[0]["body"]["stream"] is True


@both
async def test_a_server_that_does_not_stream_is_understood_too(wire):
    calls = (("weather", {"q": "Oslo"}),)
    answer, _ = await complete(wire, Reply(text="Hm.", tool_calls=calls, streams=False))
    assert (answer.text, answer.finish_reason) == ("Hm.", "tool_calls")
    assert json.loads(answer.tool_calls[0].arguments) == {"q": "Oslo"}
    assert answer.usage.input_tokens == 10


@both
async def test_parallel_tool_calls_come_with_their_arguments(wire):
    calls = (("weather", {"q": "Oslo"}), ("clock", {}))
    answer, server = await complete(
        wire,
        Reply(tool_calls=calls),
        tools=(ToolDefinition("weather", "The weather", {"type": "object"}),),
    )
    assert [(c.name, json.loads(c.arguments)) for c in answer.tool_calls] == list(calls)
    assert len({c.id for c in answer.tool_calls}) == 2
    assert answer.finish_reason == "tool_calls"
    assert "weather" in json.dumps(server.requests[0]["body"]["tools"])


@both
async def test_an_answer_and_its_results_go_into_the_next_request(wire):
    first, _ = await complete(wire, Reply(text="Wait.", tool_calls=(("a", {"x": 1}), ("b", {}))))
    results = [tool_result(c, f"result {c.name}", is_error=c.name == "b") for c in first.tool_calls]
    _, server = await complete(
        wire, Reply(text="ok"), messages=[user("Hi"), assistant(first), *results, user("Go on.")]
    )
    sent = server.requests[0]["body"]["messages"]
    if wire == "openai":
        assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "user"]
        assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'
        assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"]
    else:
        assert [m["role"] for m in sent] == ["user", "assistant", "user"]
        assert [b["type"] for b in sent[1]["content"]] == ["text", "tool_use", "tool_use"]
        assert [b["type"] for b in sent[2]["content"]] == ["tool_result", "tool_result", "text"]
        assert sent[2]["content"][1]["is_error"] is True


async def test_thinking_goes_back_with_its_signature():
    first, _ = await complete("anthropic", Reply(thinking="Hmm", tool_calls=(("a", {}),)))
    assert first.raw["content"][0] == {"type": "thinking", "thinking": "Hmm", "signature": "sig"}
    assert first.text == ""


@both
async def test_broken_arguments_do_not_break_the_next_request(wire):
    reply = Reply(tool_calls=(("a", '{"x": '),))
    first, _ = await complete(wire, reply)
    assert first.tool_calls[0].arguments == '{"x": '
    assert '{\\"x\\": ' not in json.dumps(first.raw)


async def test_usage_of_openai_counts_cached_and_reasoning_tokens_once():
    answer, _ = await complete("openai", Reply(text="x", tokens=(100, 30), cached=60, reasoning=20))
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (100, 60)
    assert (usage.output_tokens, usage.reasoning_tokens) == (30, 20)


async def test_usage_of_anthropic_counts_cached_tokens_into_the_input():
    reply = Reply(text="x", tokens=(100, 30), cached=60, cache_written=15)
    answer, _ = await complete("anthropic", reply)
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (100, 60, 15)
    assert usage.output_tokens == 30


async def test_a_server_that_hides_its_usage_gets_an_estimate_marked_so():
    answer, _ = await complete("openai", Reply(text="x" * 400, tokens=None))
    assert not answer.usage.is_reported
    assert answer.usage.output_tokens == 101


async def test_parameters_key_and_limits_reach_the_server():
    _, server = await complete(
        "openai",
        Reply(),
        parameters={"temperature": 0.2, "max_tokens": 9},
        max_tokens=7,
        instructions="Be brief.",
    )
    sent = server.requests[0]
    assert sent["headers"]["authorization"] == "Bearer sk-1"
    assert (sent["body"]["temperature"], sent["body"]["max_tokens"]) == (0.2, 7)
    assert sent["body"]["messages"][0] == {"role": "system", "content": "Be brief."}
    _, server = await complete("anthropic", Reply(), instructions="Be brief.", max_tokens=7)
    sent = server.requests[0]
    assert sent["headers"]["x-api-key"] == "sk-1"
    assert (sent["body"]["system"], sent["body"]["max_tokens"]) == ("Be brief.", 7)


@both
async def test_an_output_schema_is_asked_for_in_the_vendors_own_way(wire):
    _, server = await complete(wire, Reply(text="{}"), output_schema=SCHEMA)
    body = server.requests[0]["body"]
    if wire == "openai":
        assert body["response_format"]["json_schema"]["strict"] is True
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    else:
        assert body["output_config"]["format"]["schema"] == SCHEMA
    assert "fits this JSON Schema" in json.dumps(body)


@both
@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "auth", False),
        (403, "auth", False),
        (400, "bad_request", False),
        (404, "bad_request", False),
        (429, "rate_limited", True),
        (500, "overloaded", True),
        (503, "overloaded", True),
        (529, "overloaded", True),
    ],
)
async def test_refusals_are_classified(wire, status, code, retryable):
    error = await failure(wire, Reply(status=status, error={"message": "Because."}))
    assert (error.code, error.retryable, error.status) == (code, retryable, status)
    assert "Because." in error.message


@both
async def test_the_wait_a_provider_asks_for_is_told(wire):
    error = await failure(wire, Reply(status=429, headers={"retry-after": "7"}))
    assert error.retry_after == 7


async def test_an_empty_account_is_no_reason_to_try_again():
    error = await failure("openai", Reply(status=429, error={"code": "insufficient_quota"}))
    assert (error.code, error.retryable) == ("rate_limited", False)


async def test_a_content_filter_is_its_own_class():
    error = await failure("openai", Reply(status=400, error={"code": "content_filter"}))
    assert error.code == "content"
    answer, _ = await complete("openai", Reply(text="I", refusal="No, thank you."))
    assert (answer.finish_reason, answer.refusal) == ("refusal", "No, thank you.")
    answer, _ = await complete("anthropic", Reply(text="No.", finish="refusal"))
    assert (answer.finish_reason, answer.refusal) == ("refusal", "No.")


@both
async def test_the_client_tries_once_only(wire):
    with WIRES[wire](Reply(status=500)) as server:
        with pytest.raises(ProviderError):
            await provider_for(wire).complete(request(server))
        assert len(server.requests) == 1


@both
async def test_a_slow_server_ends_in_a_timeout(wire):
    began = time.monotonic()
    error = await failure(wire, Reply(delay=30), timeout=0.3)
    assert (error.code, error.retryable) == ("timeout", True)
    assert time.monotonic() - began < 5


@both
async def test_a_stream_that_breaks_or_ends_early_is_no_answer(wire):
    error = await failure(wire, Reply(text="Take a hat.", cut=True))
    assert (error.code, error.retryable) == ("unreachable", True)
    error = await failure(wire, Reply(text="Take a hat.", ends=True))
    assert (error.code, error.retryable) == ("malformed", True)


@both
async def test_an_error_in_mid_stream_is_classified(wire):
    told = {"type": "overloaded_error", "message": "Busy."}
    error = await failure(wire, Reply(text="Take", error_in_stream=told))
    assert (error.code, error.message) == ("overloaded", "Busy.")


@both
@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"{}", b'{"choices": 3}', b"\xff"])
async def test_what_is_no_answer_at_all_is_malformed(wire, body):
    error = await failure(wire, Reply(body=body))
    assert error.code == "malformed"


@both
async def test_nobody_there_is_unreachable(wire):
    nobody = ModelRequest(model="m", messages=[user("Hi")], base_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError) as caught:
        await provider_for(wire).complete(nobody)
    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)


@both
async def test_a_private_address_is_refused_before_anything_is_sent(wire, settings):
    settings.SPARKOPS_EGRESS_ALLOW = []
    error = await failure(wire, Reply())
    assert (error.code, error.retryable) == ("unreachable", False)
    assert "loopback" in error.message


@both
async def test_a_key_goes_to_its_own_hosts_only(wire):
    with WIRES[wire](Reply()) as server:
        with pytest.raises(ProviderError) as caught:
            await provider_for(wire).complete(request(server, allowed_hosts=["api.openai.com"]))
        assert caught.value.retryable is False
        assert server.requests == []


@both
async def test_credentials_of_the_operators_shell_go_nowhere(wire, monkeypatch):
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_CUSTOM_HEADERS",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "ANTHROPIC_BASE_URL",
    ):
        monkeypatch.setenv(name, "x-leak: operators-own")
    _, server = await complete(wire, Reply(), api_key=None)
    assert "operators-own" not in json.dumps(server.requests)


def test_the_key_is_never_printed():
    shown = repr(ModelRequest(model="m", messages=(), api_key="sk-secret"))
    assert "sk-secret" not in shown

"""Anthropic's models, by Anthropic's own wire format."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from anthropic import AsyncAnthropic, AsyncStream

from agents.providers import failures
from agents.providers.ambient import forget_ambient_credentials
from agents.providers.anthropic_fold import Fold
from agents.providers.contract import ModelAnswer, ModelRequest
from agents.providers.schemas import is_strict, json_instructions
from controlplane.kit import egress

_BASE_URL = "https://api.anthropic.com"
# The wire format demands a bound on every answer.
DEFAULT_MAX_TOKENS = 8192


def _client(request: ModelRequest) -> AsyncAnthropic:
    forget_ambient_credentials()
    # Compatible servers may know only the older of the two headers that carry the key.
    older = {"x-api-key": request.api_key} if request.base_url and request.api_key else None
    return AsyncAnthropic(
        api_key=request.api_key or "none",
        default_headers=older,
        base_url=request.base_url or _BASE_URL,
        max_retries=0,
        timeout=request.timeout,
        http_client=egress.async_client(
            timeout=request.timeout, allowed_hosts=request.allowed_hosts
        ),
    )


def _content(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "assistant":
        return list(message["raw"]["content"])
    if message["role"] == "user":
        return [{"type": "text", "text": message["content"]}]
    result = {
        "type": "tool_result",
        "tool_use_id": message["call_id"],
        "content": message["content"],
    }
    return [{**result, "is_error": True} if message.get("is_error") else result]


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turns by turn: results of tools, and words that follow them, are one user message."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += _content(message)
        else:
            turns.append({"role": role, "content": _content(message)})
    return [turn for turn in turns if turn["content"]]


def body(request: ModelRequest) -> dict[str, Any]:
    """The JSON of the call."""
    wire = {k: v for k, v in request.parameters.items() if not k.startswith("max_")}
    instructions = request.instructions
    if request.output_schema is not None:
        schema = dict(request.output_schema)
        if is_strict(schema):
            output = {"format": {"type": "json_schema", "schema": schema}}
            wire["output_config"] = {**wire.get("output_config", {}), **output}
        instructions = f"{instructions}\n\n{json_instructions(schema)}".strip()
    if instructions:
        wire["system"] = instructions
    if request.tools:
        wire["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)}
            for t in request.tools
        ]
    return {
        "model": request.model,
        "messages": _messages(request.messages),
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        **wire,
    }


class AnthropicProvider:
    """The `anthropic` client."""

    can_call_tools = True

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """The answer to a request; streams inside. ProviderError where there is none."""
        wire = {**body(request), "stream": True}
        fold = Fold(request.on_delta, time.perf_counter())
        try:
            # By the plain verb, as in the neighbour: the typed one costs more than it helps.
            stream: AsyncStream[Any] = await _client(request).post(
                "/v1/messages",
                body=wire,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[Any],
            )
            async with stream:
                if "json" in stream.response.headers.get("content-type", ""):
                    await stream.response.aread()
                    fold.take_whole(json.loads(stream.response.content))
                else:
                    async for event in stream:
                        fold.take(event)
        except Exception as exc:
            raise failures.explain(exc) from exc
        return fold.answer(request)

"""Models behind the OpenAI wire format: OpenAI itself and every compatible server."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from openai import AsyncOpenAI, AsyncStream

from agents.providers import failures
from agents.providers.ambient import forget_ambient_credentials
from agents.providers.contract import ModelAnswer, ModelRequest, ToolDefinition
from agents.providers.openai_fold import Fold
from agents.providers.schemas import is_strict, json_instructions
from controlplane.kit import egress

_BASE_URL = "https://api.openai.com/v1"
# Servers without keys take any; the client insists on one.
_NO_KEY = "none"


def _client(request: ModelRequest) -> AsyncOpenAI:
    forget_ambient_credentials()
    return AsyncOpenAI(
        api_key=request.api_key or _NO_KEY,
        base_url=request.base_url or _BASE_URL,
        max_retries=0,
        timeout=request.timeout,
        http_client=egress.async_client(
            timeout=request.timeout, allowed_hosts=request.allowed_hosts
        ),
    )


def _function(tool: ToolDefinition) -> dict[str, Any]:
    # OpenAI refuses an object schema without properties.
    parameters = {"properties": {}, **tool.parameters}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    if message["role"] == "assistant":
        return dict(message["raw"])
    if message["role"] == "tool":
        return {
            "role": "tool",
            "tool_call_id": message["call_id"],
            "content": message["content"],
        }
    return {"role": "user", "content": message["content"]}


def _limit_name(request: ModelRequest) -> str:
    """OpenAI's reasoning models know only the newer name, compatible servers often the older."""
    if "max_completion_tokens" in request.parameters:
        return "max_completion_tokens"
    host = urlsplit(request.base_url or _BASE_URL).hostname or ""
    is_home = host.endswith((".openai.com", ".azure.com"))
    return "max_completion_tokens" if is_home else "max_tokens"


def body(request: ModelRequest) -> dict[str, Any]:
    """The JSON of the call."""
    instructions = request.instructions
    more = {k: v for k, v in request.parameters.items() if not k.startswith("max_")}
    if request.output_schema is not None:
        schema = dict(request.output_schema)
        more["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)},
        }
        # Compatible servers may ignore the format, so the model is told as well.
        instructions = f"{instructions}\n\n{json_instructions(schema)}".strip()
    messages = [{"role": "system", "content": instructions}] if instructions else []
    messages += [_message(message) for message in request.messages]
    if request.max_tokens is not None:
        more[_limit_name(request)] = request.max_tokens
    if request.tools:
        more["tools"] = [_function(tool) for tool in request.tools]
    return {"model": request.model, "messages": messages, **more}


class OpenAIProvider:
    """The `openai` client against any base URL."""

    can_call_tools = True

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """The answer to a request; streams inside. ProviderError where there is none."""
        wire = {**body(request), "stream": True, "stream_options": {"include_usage": True}}
        fold = Fold(request.on_delta, time.perf_counter())
        try:
            # By the client's plain verb: its typed one takes 5 ms of processor time a call for
            # checking and building what is taken apart here anyway.
            stream: AsyncStream[Any] = await _client(request).post(
                "/chat/completions",
                body=wire,
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[Any],
            )
            async with stream:
                if "json" in stream.response.headers.get("content-type", ""):
                    # A server that does not stream answers in one piece.
                    await stream.response.aread()
                    fold.take_whole(stream.response.json())
                else:
                    async for chunk in stream:
                        fold.take(chunk)
        except Exception as exc:
            raise failures.explain(exc) from exc
        return fold.answer(request)

"""The events of a streamed Anthropic answer put together."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from agents.providers import failures
from agents.providers.contract import (
    FinishReason,
    ModelAnswer,
    ModelRequest,
    ToolCall,
    Usage,
)
from agents.providers.estimates import estimated_usage

_FINISH: dict[str, FinishReason] = {
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


def _whole(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) else 0


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The token counts: Anthropic tells cached tokens apart from the input, we count them in."""
    read = _whole(told.get("cache_read_input_tokens"))
    written = _whole(told.get("cache_creation_input_tokens"))
    kept = _whole((told.get("cache_creation") or {}).get("ephemeral_1h_input_tokens"))
    output = _whole(told.get("output_tokens"))
    thinking = _whole((told.get("output_tokens_details") or {}).get("thinking_tokens"))
    return Usage(
        input_tokens=_whole(told.get("input_tokens")) + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_hour_tokens=min(kept, written),
        reasoning_tokens=min(thinking, output),
    )


class Fold:
    """One answer in the making. `began` is time.perf_counter() at the request."""

    def __init__(self, on_delta: Callable[[str], None] | None, began: float) -> None:
        self.on_delta = on_delta
        self.began = began
        self.first_token_ms: float | None = None
        self.blocks: list[dict[str, Any]] = []
        self.inputs: dict[int, str] = {}
        self.finish: str | None = None
        self.usage: dict[str, Any] = {}
        self.model = ""

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    def take_whole(self, message: Any) -> None:
        """An answer that came in one piece."""
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), list):
            raise failures.malformed("is no message")
        self._note(message)
        self.blocks = [dict(block) for block in message["content"]]
        self.finish = message.get("stop_reason")
        if self.on_delta and (text := self._text()):
            self.on_delta(text)
        self.first_token_ms = self._elapsed_ms()

    def take(self, event: Mapping[str, Any]) -> None:
        """One event of the stream."""
        kind = event.get("type")
        if kind == "message_start":
            self._note(event.get("message") or {})
        elif kind == "message_delta":
            self._note({"usage": event.get("usage")})
            self.finish = (event.get("delta") or {}).get("stop_reason") or self.finish
        elif kind == "content_block_start":
            self._block(event.get("index"), dict(event.get("content_block") or {}))
        elif kind == "content_block_delta":
            self._take_delta(event.get("index"), event.get("delta") or {})

    def _note(self, message: Mapping[str, Any]) -> None:
        self.model = message.get("model") or self.model
        told = message.get("usage") or {}
        self.usage.update({key: value for key, value in told.items() if value is not None})

    def _block(self, index: Any, begun: dict[str, Any]) -> dict[str, Any]:
        index = index if isinstance(index, int) else len(self.blocks)
        while len(self.blocks) <= index:
            self.blocks.append({})
        self.blocks[index].update(begun)
        return self.blocks[index]

    def _take_delta(self, index: Any, delta: Mapping[str, Any]) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()
        block, kind = self._block(index, {}), delta.get("type")
        if kind == "text_delta":
            block["text"] = block.get("text", "") + delta["text"]
            if self.on_delta and delta["text"]:
                self.on_delta(delta["text"])
        elif kind == "input_json_delta":
            self.inputs[index] = self.inputs.get(index, "") + delta["partial_json"]
        elif kind == "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
        elif kind == "signature_delta":
            block["signature"] = delta["signature"]

    def _text(self) -> str:
        return "".join(b.get("text", "") for b in self.blocks if b.get("type") == "text")

    def _calls(self) -> tuple[ToolCall, ...]:
        calls = []
        for index, block in enumerate(self.blocks):
            if block.get("type") == "tool_use":
                arguments = self.inputs.get(index) or json.dumps(block.get("input") or {})
                block["input"] = _object(arguments)
                calls.append(ToolCall(block.get("id") or "", block.get("name") or "", arguments))
        return tuple(calls)

    def answer(self, request: ModelRequest) -> ModelAnswer:
        """The finished answer. ProviderError where the stream ended before it."""
        if self.finish is None:
            raise failures.malformed("ended before the model had finished")
        calls, text = self._calls(), self._text()
        finish = _FINISH.get(self.finish, "stop")
        if self.usage:
            usage = usage_of(self.usage)
        else:
            usage = estimated_usage(request, text + "".join(c.arguments for c in calls))
        return ModelAnswer(
            text=text,
            tool_calls=calls,
            finish_reason="tool_calls" if calls and finish == "stop" else finish,
            usage=usage,
            response_model=self.model or request.model,
            latency_ms=self._elapsed_ms(),
            first_token_ms=self.first_token_ms,
            # Empty text is refused when it is sent back.
            raw={
                "role": "assistant",
                "content": [b for b in self.blocks if b.get("type") != "text" or b.get("text")],
            },
            refusal=text if finish == "refusal" else "",
        )


def _object(arguments: str) -> dict[str, Any]:
    """The arguments as an object; an empty one where the model wrote none."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

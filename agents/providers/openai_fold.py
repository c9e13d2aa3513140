"""The pieces of a streamed OpenAI answer put together; tolerant of what compatible servers do."""

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
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


def _text(content: Any) -> str:
    """Text of a content that is a string, or a list of typed parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(p.get("text") or "" for p in content if isinstance(p, Mapping))
    return ""


def _whole(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) else 0


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The token counts of a usage object."""
    prompt = told.get("prompt_tokens_details") or {}
    completion = told.get("completion_tokens_details") or {}
    read, written = _whole(told.get("prompt_tokens")), _whole(told.get("completion_tokens"))
    # Some servers leave the reasoning out of the completion, but never out of the total.
    written = max(written, _whole(told.get("total_tokens")) - read)
    cached = prompt.get("cached_tokens") or told.get("prompt_cache_hit_tokens")
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=min(_whole(cached), read),
        cache_write_tokens=min(_whole(prompt.get("cache_write_tokens")), read),
        reasoning_tokens=min(_whole(completion.get("reasoning_tokens")), written),
    )


class Fold:
    """One answer in the making. `began` is time.perf_counter() at the request."""

    def __init__(self, on_delta: Callable[[str], None] | None, began: float) -> None:
        self.on_delta = on_delta
        self.began = began
        self.first_token_ms: float | None = None
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: list[dict[str, str]] = []
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.model = ""

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000

    def take_whole(self, answer: Any) -> None:
        """An answer that came in one piece."""
        if not isinstance(answer, Mapping) or not isinstance(answer.get("choices"), list):
            raise failures.malformed("is no chat completion")
        if error := answer.get("error"):
            raise failures.of_answer(0, error, {})
        choices = [{**c, "delta": c.get("message") or {}} for c in answer["choices"]]
        self.take({**answer, "choices": choices})

    def take(self, chunk: Mapping[str, Any]) -> None:
        """One chunk of the stream."""
        self.model = chunk.get("model") or self.model
        if isinstance(chunk.get("usage"), Mapping):
            self.usage = usage_of(chunk["usage"])
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            self._take_delta(choice.get("delta") or {})
            self.finish = choice.get("finish_reason") or self.finish

    def _take_delta(self, delta: Mapping[str, Any]) -> None:
        text = _text(delta.get("content"))
        said = text or delta.get("tool_calls") or delta.get("refusal")
        said = said or delta.get("reasoning_content") or delta.get("reasoning")
        if said and self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()
        if text:
            self.text.append(text)
            if self.on_delta:
                self.on_delta(text)
        if delta.get("refusal"):
            self.refusal.append(str(delta["refusal"]))
        for piece in delta.get("tool_calls") or ():
            self._take_call(piece)

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        index, named = piece.get("index"), piece.get("id")
        if not isinstance(index, int):
            # Without an index a new id begins a call, anything else goes on with the last.
            known = next((i for i, call in enumerate(self.calls) if call["id"] == named), None)
            index = known if known is not None else len(self.calls) - (0 if named else 1)
        while len(self.calls) <= max(index, 0):
            self.calls.append({"id": "", "name": "", "arguments": ""})
        call, function = self.calls[max(index, 0)], piece.get("function") or {}
        call["id"] = call["id"] or str(named or "")
        call["name"] = call["name"] or str(function.get("name") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = json.dumps(arguments)
        call["arguments"] += arguments or ""

    def answer(self, request: ModelRequest) -> ModelAnswer:
        """The finished answer. ProviderError where the stream ended before it."""
        if self.finish is None:
            raise failures.malformed("ended before the model had finished")
        calls = tuple(
            ToolCall(call["id"] or f"call_{i}", call["name"], call["arguments"] or "{}")
            for i, call in enumerate(self.calls)
        )
        text, refusal = "".join(self.text), "".join(self.refusal)
        finish = _FINISH.get(self.finish, "stop")
        if refusal:
            finish = "refusal"
        elif calls and finish == "stop":
            finish = "tool_calls"
        written = text + "".join(call.arguments for call in calls)
        return ModelAnswer(
            text=text,
            tool_calls=calls,
            finish_reason=finish,
            usage=self.usage or estimated_usage(request, written),
            response_model=self.model or request.model,
            latency_ms=self._elapsed_ms(),
            first_token_ms=self.first_token_ms,
            raw=_raw(text, calls),
            refusal=refusal,
        )


def _raw(text: str, calls: tuple[ToolCall, ...]) -> dict[str, Any]:
    """The assistant message of the next request."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _valid(call.arguments)},
            }
            for call in calls
        ]
    return message


def _valid(arguments: str) -> str:
    """The arguments, or an empty object where they are no JSON: many servers parse them again."""
    try:
        json.loads(arguments)
    except ValueError:
        return "{}"
    return arguments

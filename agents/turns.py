"""The words of an agent's conversation: messages, what tools answered, what a model is told."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agents.providers.contract import ModelAnswer, ToolCall
from controlplane.kit import schemas
from controlplane.kit.errors import FieldProblem

# What a tool brings beyond this many characters would drown the conversation and its price.
LONGEST_RESULT = 60_000
Message = dict[str, Any]


def storable(value: Any) -> Any:
    """A JSON value that PostgreSQL keeps: NUL and lone surrogates become replacement characters.
    Models and tools write them, and losing a turn for one would be silly."""
    if isinstance(value, str):
        if "\x00" not in value and value.isascii():
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def user(text: str) -> Message:
    """Words to the model."""
    return {"role": "user", "content": text}


def assistant(answer: ModelAnswer) -> Message:
    """What the model said, in the form its provider wants back."""
    return {"role": "assistant", "content": answer.text, "raw": dict(answer.raw)}


def tool_result(call: ToolCall, text: str, *, is_error: bool) -> Message:
    """What a tool answered."""
    return {
        "role": "tool",
        "call_id": call.id,
        "name": call.name,
        "content": text,
        "is_error": is_error,
    }


def as_text(content: Any) -> str:
    """A tool's output as the model reads it, cut where it is too long."""
    if isinstance(content, str):
        text = content
    else:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=str)
    if len(text) > LONGEST_RESULT:
        cut = len(text) - LONGEST_RESULT
        text = f"{text[:LONGEST_RESULT]}… [cut: {cut} more characters]"
    return storable(text)


def arguments_of(call: ToolCall) -> tuple[dict[str, Any] | None, str]:
    """(arguments, "") of a call, or (None, what is wrong with them in words for the model)."""
    try:
        value = json.loads(call.arguments or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        return None, f"Not called: the arguments are not valid JSON ({exc}). Write them again."
    if not isinstance(value, dict):
        return None, "Not called: the arguments must be a JSON object. Write them again."
    return storable(value), ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def unknown_tool(name: str, known: Iterable[str]) -> str:
    """What the model is told when it calls a tool it does not have."""
    names = ", ".join(known)
    there = f"The tools are: {names}." if names else "There are no tools."
    return f"Not called: there is no tool {name[:80]!r}. {there}"


def structured(text: str, schema: Mapping[str, Any]) -> tuple[Any, list[FieldProblem]]:
    """(data, faults) of an answer that should be JSON by a schema."""
    try:
        data = json.loads(_unfenced(text), parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        return None, [FieldProblem("", "not_json", f"The answer is not JSON: {exc}.")]
    return storable(data), schemas.faults(dict(schema), data)


def _unfenced(text: str) -> str:
    """The text without the Markdown fence that models like to put around JSON."""
    text = text.strip()
    if not text.startswith("```") or not text.endswith("```"):
        return text
    return text[3:-3].removeprefix("json").strip()


def repair(faults: list[FieldProblem]) -> str:
    """What the model is told when its answer does not fit the schema."""
    lines = "\n".join(f"- {f.field or 'the answer'}: {f.message}" for f in faults)
    return f"Your answer does not fit the schema:\n{lines}\nAnswer again, with the JSON only."


EMPTY = "Your answer was empty. Answer the question, in words."

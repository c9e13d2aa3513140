"""Guesses of token counts, for servers that do not tell and for calls that are yet to be made."""

import json
from collections.abc import Mapping
from typing import Any

from agents.providers.contract import ModelRequest, Usage

_BYTES_A_TOKEN = 4
_BYTES_A_TOKEN_AT_WORST = 2
_TOKENS_A_MESSAGE = 8


def _size(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return len(text.encode("utf-8", "replace"))


def _sent_bytes(request: ModelRequest) -> int:
    sizes = [_size(request.instructions)]
    sizes += [_size(m.get("raw") or m.get("content") or "") for m in request.messages]
    sizes += [_size(t.name + t.description) + _size(dict(t.parameters)) for t in request.tools]
    if isinstance(request.output_schema, Mapping):
        sizes.append(2 * _size(dict(request.output_schema)))
    return sum(sizes)


def estimated_usage(request: ModelRequest, written: str) -> Usage:
    """A fair guess, marked as not reported."""
    return Usage(
        input_tokens=_sent_bytes(request) // _BYTES_A_TOKEN + 1,
        output_tokens=_size(written) // _BYTES_A_TOKEN + 1,
        is_reported=False,
    )


def most_input_tokens(request: ModelRequest) -> int:
    """More tokens than a request is ever counted as, for a reservation made before the call."""
    parts = len(request.messages) + len(request.tools) + 1
    return _sent_bytes(request) // _BYTES_A_TOKEN_AT_WORST + parts * _TOKENS_A_MESSAGE

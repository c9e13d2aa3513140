"""What PostgreSQL and JSON can hold: faults of a value in words, before anything is stored."""

import enum
import json
import math
import re
from typing import Any
from uuid import UUID

import orjson

MAX_DEPTH = 250
INT64 = (-(2**63), 2**63 - 1)
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_STRICT_INTEGER
)
_LONG_INTEGER = re.compile(rb"[0-9]{19}")


def problem(value: Any, max_bytes: int) -> str | None:
    """Why the value cannot be stored as JSON of at most `max_bytes`, in a sentence; None if it can.
    Faults: NUL, lone surrogates, NaN, Infinity, integers beyond 64 bits, keys that are no text,
    kinds JSON does not have, nesting deeper than MAX_DEPTH, too many bytes. Tuples, UUIDs and text
    choices pass: they are written as JSON."""
    try:
        raw = orjson.dumps(value, option=_STRICT)
    except (TypeError, ValueError, RecursionError):
        # Also whole numbers beyond 53 bits, which are fine: the walk looks closer.
        if fault := _fault(value, "", 0):
            return fault
        raw = _written(value)
    if len(raw) > max_bytes:
        return f"The value has {len(raw):,} bytes, more than the {max_bytes:,} allowed."
    # orjson writes NaN as null: what comes back then differs from what went in.
    if b"\\u0000" in raw or (b"null" in raw and orjson.loads(raw) != value):
        return _fault(value, "", 0)
    return None


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=_STRICT ^ orjson.OPT_STRICT_INTEGER)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(value, default=str).encode()


_KINDS = (str, bool, int, float, dict, list, tuple)


def _fault(value: Any, place: str, depth: int) -> str | None:
    where = f" at {place[:200]}" if place else ""
    value = value.value if isinstance(value, enum.Enum) else value
    kind = next((known for known in _KINDS if isinstance(value, known)), type(value))
    if kind is str:
        return _text_fault(value, where)
    if value is None or kind is bool or kind is UUID:
        return None
    if kind is int:
        low, high = INT64
        return None if low <= value <= high else f"An integer{where} is beyond 64 bits."
    if kind is float:
        return None if math.isfinite(value) else f"A number{where} is NaN or infinite."
    if kind not in (dict, list, tuple):
        return f"A {kind.__name__}{where} is not JSON."
    if depth >= MAX_DEPTH:
        return f"The value is nested deeper than {MAX_DEPTH}."
    pairs = value.items() if kind is dict else enumerate(value)
    for key, item in pairs:
        if kind is dict and (fault := _key_fault(key, where)):
            return fault
        if fault := _fault(item, f"{place}.{key}" if place else str(key), depth + 1):
            return fault
    return None


def _key_fault(key: Any, where: str) -> str | None:
    return _text_fault(key, where) if type(key) is str else f"A key{where} is not text."


def _text_fault(text: str, where: str) -> str | None:
    if "\x00" in text:
        return f"A text{where} holds a NUL character."
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"A text{where} holds a lone surrogate."
    return None


def loads(raw: bytes | str) -> Any:
    """JSON from outside that is to be stored. ValueError, with the fault in words, for what is no
    JSON (NaN and Infinity are none) and for what `problem` would name, size apart."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(_unreadable(raw, error)) from None
    data = raw.encode() if isinstance(raw, str) else raw
    if _LONG_INTEGER.search(data):
        # orjson makes doubles of integers beyond 64 bits.
        value = json.loads(raw, parse_int=_integer)
    nested = data.count(b"[") + data.count(b"{") > MAX_DEPTH
    if (nested or b"\\u0000" in data) and (fault := _fault(value, "", 0)):
        raise ValueError(fault)
    return value


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) < 25 else INT64[1] + 1
    if not INT64[0] <= number <= INT64[1]:
        raise ValueError("An integer is beyond 64 bits.")
    return number


def _unreadable(raw: bytes | str, error: ValueError) -> str:
    text = raw if isinstance(raw, str) else raw.decode(errors="replace")
    if re.search(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", text) and "surrogate" in str(error):
        return "A text holds a lone surrogate."
    if "depth" in str(error):
        return f"The value is nested deeper than {MAX_DEPTH}."
    if "infinity" in str(error):
        return "A number is too large."
    return f"This is not JSON: {error}."

"""The kinds of value an expression works on, and the way in from and out to plain JSON."""

import enum
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from controlplane.kit.expressions.errors import Exhausted, ExpressionError

INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
MAX_RESULT_CHARS = 16 * 1024 * 1024
MAX_RESULT_DEPTH = 100
# What a value costs besides its text: 131,072 of them are a whole result.
_NODE_CHARS = 128


class UInt(int):
    """An unsigned integer (`5u`); all other integers are signed."""

    __slots__ = ()


class TypeName(str):
    """The value of `type(x)`."""

    __slots__ = ()


_NAMES = {
    type(None): "null", bool: "bool", int: "int", UInt: "uint", float: "double", str: "string",
    bytes: "bytes", list: "list", dict: "map", datetime: "timestamp", timedelta: "duration",
    TypeName: "type",
}  # fmt: skip
TYPES = frozenset(_NAMES.values()) - {"null"} | {"null_type"}
_KNOWN = frozenset(_NAMES)
_PLAIN = frozenset((type(None), bool, str))


def type_name(value: Any) -> str:
    """The CEL name of a value's type."""
    return _NAMES.get(type(value), "map")


def adopt(value: Any) -> Any:
    """A value of the context as one of the known types: money becomes double, an id text."""
    if type(value) in _KNOWN:
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, enum.Enum):
        return adopt(value.value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, UUID | date):
        return str(value)
    raise ExpressionError(f"A {type(value).__name__} has no place in an expression.", reason="type")


class Outlet:
    """Turns results into plain JSON and counts what they weigh, shared parts each time anew."""

    __slots__ = ("chars",)

    def __init__(self) -> None:
        self.chars = MAX_RESULT_CHARS

    def to_json(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON; ExpressionError for what JSON cannot hold, Exhausted if too large."""
        kind = type(value)
        if kind is str:
            self._spend(len(value) + _NODE_CHARS)
            return value
        self._spend(_NODE_CHARS)
        if kind in _PLAIN:
            return value
        if kind is int:
            if INT64_MIN <= value <= INT64_MAX:
                return value
            raise ExpressionError("An integer is beyond 64 bits.")
        if kind is float:
            if math.isfinite(value):
                return value
            raise ExpressionError("The result is not a number JSON can hold (NaN or infinity).")
        if depth > MAX_RESULT_DEPTH:
            raise ExpressionError(f"The result is nested deeper than {MAX_RESULT_DEPTH}.")
        if kind is list:
            return [self.to_json(item, depth + 1) for item in value]
        if kind is dict:
            return {self._key(key): self.to_json(item, depth + 1) for key, item in value.items()}
        return self._other(value, depth)

    def _spend(self, chars: int) -> None:
        self.chars -= chars
        if self.chars < 0:
            raise Exhausted("The result is too large.")

    def _key(self, key: Any) -> str:
        if type(key) is not str:
            raise ExpressionError(f"A key of a result is text, not {type_name(key)}.")
        self._spend(len(key))
        return key

    def _other(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is UInt:
            return self.to_json(int(value), depth)
        if kind is TypeName:
            return str(value)
        if kind is datetime:
            return timestamp_text(value)
        if kind is timedelta:
            return duration_text(value)
        if kind is bytes:
            raise ExpressionError("Bytes cannot leave an expression; make them text.")
        return self.to_json(adopt(value), depth)


def timestamp_text(moment: datetime) -> str:
    """RFC 3339 in UTC, fractions only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration_text(length: timedelta) -> str:
    """Seconds with their fraction and `s`, as CEL writes durations."""
    return f"{plain_number(length.total_seconds())}s"


def plain_number(number: int | float) -> str:
    """A number without exponent; a whole double without its point."""
    if isinstance(number, int):
        return str(int(number))
    if not math.isfinite(number):
        return str(number)
    text = format(Decimal(repr(number)), "f")
    return text[:-2] if text.endswith(".0") else text

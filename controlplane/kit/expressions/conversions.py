"""The functions that turn one type into another: int(), double(), string() and their like."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.moments import duration, timestamp
from controlplane.kit.expressions.operators import whole
from controlplane.kit.expressions.scope import Scope, mismatch
from controlplane.kit.expressions.values import (
    TypeName,
    UInt,
    duration_text,
    plain_number,
    timestamp_text,
    type_name,
)

_TRUE = frozenset(("true", "True", "TRUE", "t", "1"))
_FALSE = frozenset(("false", "False", "FALSE", "f", "0"))


def _whole_from(value: Any, kind: type) -> Any:
    name = type_name(kind())
    if type(value) is float:
        if not math.isfinite(value):
            raise ExpressionError(f"{value} is no {name}.")
        return whole(math.trunc(value), kind)
    if type(value) in (int, UInt):
        return whole(int(value), kind)
    if type(value) is str:
        digits = value[1:] if value[:1] in ("-", "+") else value
        if not (digits.isascii() and digits.isdigit() and len(value) < 22):
            raise ExpressionError(f"{value!r:.100} is no {name}.")
        return whole(int(value), kind)
    if type(value) is datetime and kind is int:
        return math.floor(value.timestamp())
    raise mismatch(f"{name}() cannot take {type_name(value)}.")


def to_int(scope: Scope, value: Any) -> int:
    """A signed whole number; a double is cut toward zero."""
    return _whole_from(value, int)


def to_uint(scope: Scope, value: Any) -> UInt:
    """An unsigned whole number."""
    return _whole_from(value, UInt)


def to_double(scope: Scope, value: Any) -> float:
    """A number with fraction."""
    if type(value) in (int, UInt, float):
        return float(value)
    if type(value) is str and len(value) < 400 and "_" not in value and value == value.strip():
        try:
            return float(value)
        except ValueError:
            pass
    if type(value) is str:
        raise ExpressionError(f"{value!r:.100} is no double.")
    raise mismatch(f"double() cannot take {type_name(value)}.")


def to_string(scope: Scope, value: Any) -> str:
    """Text: numbers plainly, bool as true or false, bytes as UTF-8, moments as RFC 3339."""
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind in (int, UInt, float):
        return plain_number(value)
    if kind is datetime:
        return timestamp_text(value)
    if kind is timedelta:
        return duration_text(value)
    if kind is TypeName:
        return str(value)
    if kind is bytes:
        scope.spend_chars(len(value))
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ExpressionError("These bytes are no UTF-8 text.") from None
    raise mismatch(f"string() cannot take {type_name(value)}.")


def to_bool(scope: Scope, value: Any) -> bool:
    """A bool from itself or its text."""
    if type(value) is bool:
        return value
    if type(value) is str and value in _TRUE | _FALSE:
        return value in _TRUE
    raise ExpressionError(f"{value!r:.100} is no bool.")


def to_bytes(scope: Scope, value: Any) -> bytes:
    """The UTF-8 of a text, or bytes as they are."""
    if type(value) is bytes:
        return value
    if type(value) is not str:
        raise mismatch(f"bytes() cannot take {type_name(value)}.")
    scope.spend_chars(len(value))
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ExpressionError("The text holds a lone surrogate.") from None


def type_of(scope: Scope, value: Any) -> TypeName:
    """The name of the value's type."""
    return TypeName("null_type" if value is None else type_name(value))


def same(scope: Scope, value: Any) -> Any:
    """dyn(): the value itself."""
    return value


CONVERSIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "int": (to_int, 1, 1),
    "uint": (to_uint, 1, 1),
    "double": (to_double, 1, 1),
    "string": (to_string, 1, 1),
    "bool": (to_bool, 1, 1),
    "bytes": (to_bytes, 1, 1),
    "type": (type_of, 1, 1),
    "dyn": (same, 1, 1),
    "timestamp": (timestamp, 1, 1),
    "duration": (duration, 1, 1),
}

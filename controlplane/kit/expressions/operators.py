"""The operators: arithmetic without mixing types, comparison across numbers, equality by value."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.scope import Scope, mismatch
from controlplane.kit.expressions.values import (
    INT64_MAX,
    INT64_MIN,
    MAX_RESULT_CHARS,
    UINT64_MAX,
    UInt,
    adopt,
    type_name,
)

_NUMBERS = frozenset((int, UInt, float))
_ORDERED = frozenset((str, bool, bytes, datetime, timedelta))
_WORDS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "take the rest of"}


def whole(number: int, kind: type) -> Any:
    """An int or uint as the result of arithmetic; an error where it left its 64 bits."""
    low, high = (INT64_MIN, INT64_MAX) if kind is int else (0, UINT64_MAX)
    if not low <= number <= high:
        raise ExpressionError(f"The result is no {type_name(kind())} of 64 bits.")
    return kind(number)


def _wrong(operator: str, left: Any, right: Any) -> ExpressionError:
    names = type_name(left), type_name(right)
    hint = "; write double(n) or int(n)" if {*names} & {"double"} and {*names} & {"int"} else ""
    return mismatch(f"Cannot {_WORDS[operator]} {names[0]} and {names[1]}{hint}.")


def add(scope: Scope, left: Any, right: Any) -> Any:
    """`+` of numbers, texts, lists, bytes, and of moments with durations."""
    kind = type(left)
    if kind is not type(right):
        if {kind, type(right)} == {datetime, timedelta}:
            return _moment(left + right) if kind is datetime else _moment(right + left)
        raise _wrong("+", left, right)
    if kind is int or kind is UInt:
        return whole(int(left) + int(right), kind)
    if kind is float:
        return left + right
    if kind is str or kind is list or kind is bytes:
        size = len(left) + len(right)
        scope.spend_chars(size if kind is not list else size * 8)
        if size > MAX_RESULT_CHARS:
            raise ExpressionError("The result is larger than 16 MB.")
        return left + right
    if kind is timedelta:
        return left + right
    raise _wrong("+", left, right)


def subtract(scope: Scope, left: Any, right: Any) -> Any:
    """`-` of numbers, moments and durations."""
    kind = type(left)
    if kind is datetime and type(right) is timedelta:
        return _moment(left - right)
    if kind is not type(right):
        raise _wrong("-", left, right)
    if kind is int or kind is UInt:
        return whole(int(left) - int(right), kind)
    if kind is float or kind is datetime or kind is timedelta:
        return left - right
    raise _wrong("-", left, right)


def multiply(scope: Scope, left: Any, right: Any) -> Any:
    """`*` of two numbers of one type."""
    kind = type(left)
    if kind is type(right) and kind in _NUMBERS:
        return left * right if kind is float else whole(int(left) * int(right), kind)
    raise _wrong("*", left, right)


def divide(scope: Scope, left: Any, right: Any) -> Any:
    """`/`: whole numbers are cut toward zero, doubles may become infinite."""
    kind = type(left)
    if kind is not type(right) or kind not in _NUMBERS:
        raise _wrong("/", left, right)
    if kind is not float:
        return whole(_quotient(left, right), kind)
    if right != 0.0:
        return left / right
    sign = math.copysign(1.0, left) * math.copysign(1.0, right)
    return math.nan if left == 0.0 or left != left else math.copysign(math.inf, sign)


def remainder(scope: Scope, left: Any, right: Any) -> Any:
    """`%` of whole numbers; it has the sign of the left one."""
    kind = type(left)
    if kind is not type(right) or kind not in (int, UInt):
        raise _wrong("%", left, right)
    return whole(int(left) - _quotient(left, right) * int(right), kind)


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise ExpressionError("Division by zero.")
    size = abs(int(left)) // abs(int(right))
    return size if (left < 0) == (right < 0) else -size


def _moment(value: datetime) -> datetime:
    return value.astimezone(UTC)


def equal(scope: Scope, left: Any, right: Any) -> bool:
    """`==` by value: numbers across their types, everything else only within one type."""
    left, right = adopt(left), adopt(right)
    kind, other = type(left), type(right)
    if kind in _NUMBERS:
        return other in _NUMBERS and bool(left == right)
    if kind is str:
        if other is not str or len(left) != len(right):
            return False
        scope.spend_chars(len(left))
        return left == right
    if kind is not other:
        return False
    if kind is list:
        return len(left) == len(right) and _all_equal(scope, zip(left, right, strict=True))
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and _all_equal(
            scope, ((value, right[key]) for key, value in left.items())
        )
    return bool(left == right)


def _all_equal(scope: Scope, pairs: Any) -> bool:
    scope.spend(1)
    for one, other in pairs:
        scope.spend(1)
        if not equal(scope, one, other):
            return False
    return True


def contains(scope: Scope, item: Any, container: Any) -> bool:
    """`in`: of a list by value, of a map by key."""
    if type(container) is list:
        for other in container:
            scope.spend(1)
            if equal(scope, item, other):
                return True
        return False
    if isinstance(container, Mapping):
        return type(item) in (str, int, UInt) and item in container
    raise mismatch(f"'in' needs a list or a map, not {type_name(container)}.")


def _comparable(scope: Scope, left: Any, right: Any) -> None:
    kind, other = type(left), type(right)
    if kind in _NUMBERS and other in _NUMBERS:
        return
    if kind is not other or kind not in _ORDERED:
        raise mismatch(f"Cannot compare {type_name(left)} with {type_name(right)}.")
    if kind is str or kind is bytes:
        scope.spend_chars(min(len(left), len(right)))


def less(scope: Scope, left: Any, right: Any) -> bool:
    """`<`."""
    _comparable(scope, left, right)
    return left < right


def less_or_equal(scope: Scope, left: Any, right: Any) -> bool:
    """`<=`."""
    _comparable(scope, left, right)
    return left <= right


BINARY: dict[str, Callable[[Scope, Any, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
    "==": equal,
    "!=": lambda scope, left, right: not equal(scope, left, right),
    "<": less,
    "<=": less_or_equal,
    ">": lambda scope, left, right: less(scope, right, left),
    ">=": lambda scope, left, right: less_or_equal(scope, right, left),
    "in": contains,
}


def negate(value: Any) -> Any:
    """`-x`."""
    if type(value) is int:
        return whole(-value, int)
    if type(value) is float:
        return -value
    raise mismatch(f"Cannot negate {type_name(value)}.")

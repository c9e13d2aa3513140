"""The functions of the language: CEL's own, and the usual ones for text, numbers and lists."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from controlplane.kit.expressions import moments
from controlplane.kit.expressions.conversions import CONVERSIONS
from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.operators import add, equal, less, whole
from controlplane.kit.expressions.scope import MAX_ITEMS, Scope, mismatch
from controlplane.kit.expressions.texts import TEXTS
from controlplane.kit.expressions.values import UInt, adopt, type_name

# Name: what runs, and the fewest and most arguments, the one before the dot included.
Function = tuple[Callable[..., Any], int, int]


def size(scope: Scope, value: Any) -> int:
    """Characters of a text, bytes, items of a list or entries of a map."""
    if type(value) not in (str, bytes, list) and not isinstance(value, Mapping):
        raise mismatch(f"size() needs a text, list or map, not {type_name(value)}.")
    return len(value)


def _numbers(name: str, args: tuple[Any, ...]) -> list[Any]:
    numbers = args[0] if len(args) == 1 and type(args[0]) is list else list(args)
    for number in numbers:
        if type(adopt(number)) not in (int, UInt, float):
            raise mismatch(f"{name}() needs numbers, not {type_name(number)}.")
    return [adopt(number) for number in numbers]


def greatest(scope: Scope, *args: Any) -> Any:
    """The largest of some numbers or of a list of them."""
    return _extreme(scope, "greatest", args, lambda a, b: less(scope, a, b))


def least(scope: Scope, *args: Any) -> Any:
    """The smallest of some numbers or of a list of them."""
    return _extreme(scope, "least", args, lambda a, b: less(scope, b, a))


def _extreme(
    scope: Scope, name: str, args: tuple[Any, ...], better: Callable[[Any, Any], bool]
) -> Any:
    numbers = _numbers(name, args)
    scope.spend(len(numbers))
    if not numbers:
        raise ExpressionError(f"{name}() of nothing.")
    best = numbers[0]
    for number in numbers[1:]:
        best = number if better(best, number) else best
    return best


def total(scope: Scope, items: Any) -> Any:
    """The sum of a list of numbers of one type; of an empty one 0."""
    if type(items) is not list:
        raise mismatch(f"sum() needs a list, not {type_name(items)}.")
    scope.spend(len(items))
    numbers = _numbers("sum", (items,))
    result = numbers[0] if numbers else 0
    for number in numbers[1:]:
        result = add(scope, result, number)
    return result


def _rounded(by: Callable[[float], Any]) -> Callable[[Scope, Any], Any]:
    def run(scope: Scope, value: Any) -> Any:
        if type(value) in (int, UInt):
            return value
        if type(value) is not float:
            raise mismatch(f"A number is needed, not {type_name(value)}.")
        return float(by(value)) if math.isfinite(value) else value

    return run


def _half_away(value: float) -> float:
    return math.copysign(math.floor(abs(value) + 0.5), value) if abs(value) < 2**52 else value


def absolute(scope: Scope, value: Any) -> Any:
    """The number without its sign."""
    if type(value) not in (int, UInt, float):
        raise mismatch(f"math.abs() needs a number, not {type_name(value)}.")
    return abs(value) if type(value) is float else whole(abs(int(value)), type(value))


def distinct(scope: Scope, items: Any) -> list[Any]:
    """Each value once, in order."""
    if type(items) is not list:
        raise mismatch(f"distinct() needs a list, not {type_name(items)}.")
    if len(items) > MAX_ITEMS:
        raise ExpressionError(f"distinct() takes at most {MAX_ITEMS:,} items, not {len(items):,}.")
    kept: list[Any] = []
    for item in items:
        scope.spend(1 + len(kept))
        if not any(equal(scope, item, other) for other in kept):
            kept.append(adopt(item))
    return kept


FUNCTIONS: dict[str, Function] = {
    "size": (size, 1, 1),
    "sum": (total, 1, 1),
    "min": (least, 1, 50),
    "max": (greatest, 1, 50),
    "math.least": (least, 1, 50),
    "math.greatest": (greatest, 1, 50),
    "math.abs": (absolute, 1, 1),
    "math.ceil": (_rounded(math.ceil), 1, 1),
    "math.floor": (_rounded(math.floor), 1, 1),
    "math.trunc": (_rounded(math.trunc), 1, 1),
    "math.round": (_rounded(_half_away), 1, 1),
    "distinct": (distinct, 1, 1),
    **CONVERSIONS,
    **TEXTS,
    **moments.ACCESSORS,
}

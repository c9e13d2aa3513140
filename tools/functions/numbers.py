"""Exact arithmetic with decimal numbers."""

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from functools import reduce
from math import isinf
from statistics import median
from typing import Any

from tools.calls import ToolError
from tools.functions.registry import ToolContext, function

_DIGITS = 50
_EXACT = Context(prec=_DIGITS, traps=[DivisionByZero, InvalidOperation, Overflow])
_ROUNDING = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "down": ROUND_FLOOR,
    "up": ROUND_CEILING,
}
_OPERATIONS: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "add": lambda numbers: reduce(_EXACT.add, numbers),
    "subtract": lambda numbers: reduce(_EXACT.subtract, numbers),
    "multiply": lambda numbers: reduce(_EXACT.multiply, numbers),
    "divide": lambda numbers: reduce(_EXACT.divide, numbers),
    "remainder": lambda numbers: reduce(_EXACT.remainder, numbers),
    "power": lambda numbers: reduce(_power, numbers),
    "minimum": min,
    "maximum": max,
    "mean": lambda numbers: _EXACT.divide(reduce(_EXACT.add, numbers), Decimal(len(numbers))),
    "median": median,
}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 100}]}
_LARGEST_POWER = 1_000
_LONGEST = 1_000


@function(
    "number_math",
    effect_class="read",
    stakes="read",
    is_instant=True,
    input_schema={
        "type": "object",
        "properties": {
            "operation": {"enum": sorted(_OPERATIONS)},
            "numbers": {"type": "array", "items": _NUMBER, "minItems": 1, "maxItems": 1_000},
            "places": {"type": "integer", "minimum": 0, "maximum": 30},
            "rounding": {"enum": sorted(_ROUNDING)},
        },
        "required": ["operation", "numbers"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}, "number": {"type": "number"}},
        "required": ["text", "number"],
    },
)
def number_math(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Calculate exactly with decimal numbers, from left to right: {operation, numbers}. Write
    numbers as text to keep every digit. `places` rounds the result. Gives it as text, exact, and as
    number."""
    numbers = [_decimal(place, value) for place, value in enumerate(arguments["numbers"])]
    try:
        result = _OPERATIONS[arguments["operation"]](numbers)
        if (places := arguments.get("places")) is not None:
            rounding = _ROUNDING[arguments.get("rounding", "half_even")]
            result = result.quantize(Decimal(1).scaleb(-places), rounding, _EXACT)
    except DecimalException as exc:
        name = type(exc).__name__
        raise ToolError(f"This has no result: {name}.", code="no_result") from None
    number = float(result)
    if isinf(number) or len(text := f"{result:f}") > _LONGEST:
        raise ToolError("The result is too large to be written.", code="no_result")
    return {"text": text, "number": number}


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if abs(exponent) > _LARGEST_POWER:
        raise ToolError(f"Exponents end at {_LARGEST_POWER}.", code="no_result")
    return _EXACT.power(base, exponent)


def _decimal(place: int, value: Any) -> Decimal:
    try:
        # The shortest text of a float is what was written.
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS:
        raise ToolError(
            f"arguments.numbers.{place} is no number of at most {_DIGITS} digits.",
            code="input_invalid",
        )
    return number

"""What an evaluation runs over: the context's values, the variable of a comprehension, a budget."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit.expressions.errors import Exhausted, ExpressionError
from controlplane.kit.expressions.values import adopt, type_name

# One unit is about the evaluation of one construct, or 32 characters copied or compared.
BUDGET = 200_000
MAX_ITEMS = 1_000
_CHARS_PER_UNIT = 32


class Scope:
    """One evaluation. Not shared between threads; the compiled expression is."""

    __slots__ = ("item", "left", "patterns", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.left = BUDGET
        self.item: Any = None
        self.patterns: set[str] = set()

    def spend(self, units: int) -> None:
        """Take from the budget; Exhausted when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise Exhausted("The expression does too much work on this data.")

    def spend_error(self) -> None:
        """Take what an error costs that is caught inside the expression."""
        self.spend(8)

    def spend_chars(self, count: int) -> None:
        """Take what reading or copying so many characters costs."""
        self.spend(1 + count // _CHARS_PER_UNIT)


def missing(message: str) -> ExpressionError:
    """The error of a path that leads nowhere."""
    return ExpressionError(message, reason="missing")


def mismatch(message: str) -> ExpressionError:
    """The error of an operation on values of the wrong type."""
    return ExpressionError(message, reason="type")


def select(value: Any, field: str, owner: str) -> Any:
    """The field of a map; a missing path where there is none. `owner` is how the text calls it."""
    if isinstance(value, Mapping):
        try:
            return value[field]
        except KeyError:
            raise missing(f"{owner} has no '{field}'.") from None
    if value is None:
        raise missing(f"{owner} is null and has no '{field}'.")
    raise missing(f"{owner} is of type {type_name(value)} and has no '{field}'.")


def index(value: Any, key: Any) -> Any:
    """An item of a list by its number, or of a map by its key."""
    kind = type(value)
    if kind is list:
        if not isinstance(key, int) or isinstance(key, bool):
            raise mismatch(f"The index of a list is an int, not {type_name(key)}.")
        if not 0 <= key < len(value):
            raise missing(f"A list of {len(value)} has no item {key}.")
        return adopt(value[key])
    if isinstance(value, Mapping):
        if type(key) not in (str, int) and not isinstance(key, int):
            raise mismatch(f"The key of a map is text or a whole number, not {type_name(key)}.")
        try:
            return adopt(value[key])
        except KeyError:
            raise missing(f"The map has no {key!r:.100}.") from None
    if value is None:
        raise missing(f"null has no item {key!r:.100}.")
    raise mismatch(f"A value of type {type_name(value)} has no items.")

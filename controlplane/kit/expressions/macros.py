"""The comprehensions: over at most 1,000 items, each pass paid from the budget."""

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.scope import MAX_ITEMS, Scope, mismatch
from controlplane.kit.expressions.values import adopt, type_name

Evaluate = Callable[[Scope], Any]
Macro = Callable[[Evaluate, list[Evaluate], int], Evaluate]


def _items(value: Any) -> list[Any]:
    if type(value) is not list:
        if not isinstance(value, Mapping):
            raise mismatch(f"A comprehension runs over a list or a map, not {type_name(value)}.")
        value = list(value)
    if len(value) > MAX_ITEMS:
        raise ExpressionError(
            f"A comprehension runs over at most {MAX_ITEMS:,} items, not {len(value):,}.",
            reason="too_many_items",
        )
    return value


def _passes(over: Evaluate, body: Evaluate, cost: int) -> Callable[[Scope], Any]:
    def run(scope: Scope) -> Any:
        for item in _items(over(scope)):
            scope.spend(cost)
            scope.item = item = adopt(item)
            yield item, body

    return run


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise mismatch(f"The condition of a comprehension is a bool, not {type_name(value)}.")
    return value


def _map(over: Evaluate, bodies: list[Evaluate], cost: int) -> Evaluate:
    passes = _passes(over, bodies[-1], cost)
    if len(bodies) == 1:
        return lambda scope: [body(scope) for _, body in passes(scope)]
    test = bodies[0]
    return lambda scope: [body(scope) for _, body in passes(scope) if _truth(test(scope))]


def _filter(over: Evaluate, bodies: list[Evaluate], cost: int) -> Evaluate:
    passes = _passes(over, bodies[0], cost)
    return lambda scope: [item for item, test in passes(scope) if _truth(test(scope))]


def _quantifier(decisive: bool) -> Macro:
    def make(over: Evaluate, bodies: list[Evaluate], cost: int) -> Evaluate:
        passes = _passes(over, bodies[0], cost)

        def run(scope: Scope) -> bool:
            failure: ExpressionError | None = None
            for _, test in passes(scope):
                try:
                    if _truth(test(scope)) is decisive:
                        return decisive
                except ExpressionError as error:
                    # As CEL has it: an error counts only if no other item decides.
                    scope.spend_error()
                    failure = failure or error
            if failure is not None:
                raise failure
            return not decisive

        return run

    return make


def _exists_one(over: Evaluate, bodies: list[Evaluate], cost: int) -> Evaluate:
    passes = _passes(over, bodies[0], cost)
    return lambda scope: sum(_truth(test(scope)) for _, test in passes(scope)) == 1


MACROS: dict[str, Macro] = {
    "all": _quantifier(False),
    "exists": _quantifier(True),
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _map,
}

"""Compiled expressions: conditions that must give a bool, and expressions of any value."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from controlplane.kit.expressions.compiler import Compiler
from controlplane.kit.expressions.errors import Exhausted, ExpressionError
from controlplane.kit.expressions.nodes import Path
from controlplane.kit.expressions.parser import parse
from controlplane.kit.expressions.scope import Scope
from controlplane.kit.expressions.values import Outlet, type_name

_CACHED = 2_048


class Expression:
    """One compiled expression; immutable, shared by threads.

    `references` are dotted paths (`steps.forecast.output.summary`), `names` their first words,
    `steps` the ids behind `steps.`; `names_all_steps` tells that steps are named by computation.
    """

    __slots__ = ("_run", "is_path", "names", "names_all_steps", "references", "source", "steps")

    def __init__(self, source: str) -> None:
        compiler = Compiler()
        tree = parse(source)
        try:
            self._run = compiler.compile(tree)
        except ExpressionError as error:
            error.expression = source
            raise
        self.source = source
        # A plain path gives a part of the context itself.
        self.is_path = isinstance(tree, Path)
        self.references = frozenset(compiler.references)
        self.names = frozenset(compiler.names)
        self.steps = frozenset(compiler.steps)
        self.names_all_steps = compiler.names_all_steps

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def value_in(self, scope: Scope) -> Any:
        """The value as the language has it, not yet JSON, on the budget of `scope`."""
        try:
            return self._run(scope)
        except ExpressionError as error:
            error.expression = error.expression or self.source
            raise
        except Exhausted as error:
            raise self._too_much(str(error)) from None
        except (RecursionError, OverflowError):
            raise self._too_much("The expression or its data is nested too deeply.") from None

    def json_in(self, scope: Scope, outlet: Outlet) -> Any:
        """The value as plain JSON, on the budget of `scope` and `outlet`."""
        value = self.value_in(scope)
        try:
            return outlet.to_json(value)
        except ExpressionError as error:
            error.expression = error.expression or self.source
            raise
        except Exhausted as error:
            raise self._too_much(str(error)) from None

    def _too_much(self, message: str) -> ExpressionError:
        return ExpressionError(message, reason="limit", expression=self.source)

    def evaluate(self, context: Mapping[str, Any]) -> Any:
        """The value as plain JSON. ExpressionError `expression_error` where there is none."""
        scope = Scope(context)
        if self.is_path:
            value = self.value_in(scope)
            # A part of the context is JSON already.
            return value if isinstance(value, dict | list) else Outlet().to_json(value)
        return self.json_in(scope, Outlet())


class Condition(Expression):
    """An expression that must give a bool."""

    __slots__ = ()

    def evaluate(self, context: Mapping[str, Any]) -> bool:
        """Whether it holds. ExpressionError where it has no value or one that is no bool."""
        value = self.value_in(Scope(context))
        if type(value) is not bool:
            raise ExpressionError(
                f"A condition is true or false, this one gave {type_name(value)}.",
                reason="type",
                expression=self.source,
            )
        return value


@lru_cache(maxsize=_CACHED)
def compile_expression(text: str) -> Expression:
    """A bare expression of any value. ExpressionError `expression_invalid`."""
    return Expression(text)


@lru_cache(maxsize=_CACHED)
def _condition(text: str) -> Condition:
    return Condition(text)


def compile_condition(text: Any) -> Condition:
    """A bare condition, as in `when` and in policies. ExpressionError `expression_invalid`."""
    if not isinstance(text, str):
        raise ExpressionError(
            f"A condition is text, not {type_name(text)}.", code="expression_invalid", reason="type"
        )
    return _condition(text)

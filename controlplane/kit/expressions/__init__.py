"""One expression language everywhere: CEL, compiled once, with a budget no input can exceed."""

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.lexer import MAX_LENGTH
from controlplane.kit.expressions.programs import (
    Condition,
    Expression,
    compile_condition,
    compile_expression,
)
from controlplane.kit.expressions.scope import MAX_ITEMS
from controlplane.kit.expressions.templates import MAX_DEPTH, Template, compile_template

__all__ = [
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_LENGTH",
    "Condition",
    "Expression",
    "ExpressionError",
    "Template",
    "compile_condition",
    "compile_expression",
    "compile_template",
]

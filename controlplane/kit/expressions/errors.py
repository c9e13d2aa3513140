"""How an expression fails: the one error the outside sees, and the two that stay inside."""


class ExpressionError(ValueError):
    """An expression that cannot be compiled (`expression_invalid`) or evaluated
    (`expression_error`). `expression` is the offending text, `position` counts its characters from
    0, `place` is where in a template it stands, `reason` names the rule that was broken."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "expression_error",
        reason: str = "value",
        expression: str = "",
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.expression = expression
        self.position = position
        self.place = ""

    @property
    def missing(self) -> bool:
        """Whether a path led nowhere, which is null in a workflow's output."""
        return self.reason == "missing"


class Exhausted(Exception):
    """The budget is used up. No expression may catch this, so it is no ExpressionError."""


def invalid(message: str, position: int | None = None, reason: str = "syntax") -> ExpressionError:
    """An error of compiling, at a position of the text."""
    return ExpressionError(message, code="expression_invalid", reason=reason, position=position)

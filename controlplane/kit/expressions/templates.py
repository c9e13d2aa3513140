"""JSON values with `${…}` inside their texts: compiled once, rendered against a context."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from controlplane.kit.expressions.errors import ExpressionError, invalid
from controlplane.kit.expressions.programs import Expression, compile_expression
from controlplane.kit.expressions.scope import Scope
from controlplane.kit.expressions.values import Outlet, plain_number

MAX_DEPTH = 60
_OPENING = re.compile(r"\$?\$\{")
# What matters inside `${…}`: braces, and the quoted texts in which braces do not count.
_INSIDE = re.compile(
    r"(?<![A-Za-z0-9_])(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|\"[^\"]*\"|'[^']*')"
    r"|\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}"
    r"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}]",
    re.DOTALL,
)
_MAX_SCAN = 4_000
_MAX_PIECES = 2_000

Missing = Literal["error", "null"]


class _Rendering:
    """One rendering: one budget for all its expressions and one for what they weigh."""

    __slots__ = ("_weights", "missing", "outlet", "scope")

    def __init__(self, context: Mapping[str, Any], missing: Missing) -> None:
        self.scope = Scope(context)
        self.outlet = Outlet()
        self.missing = missing
        self._weights: dict[int, int] = {}

    def value(self, expression: Expression) -> Any:
        try:
            if not expression.is_path:
                return expression.json_in(self.scope, self.outlet)
            value = expression.value_in(self.scope)
        except ExpressionError as error:
            if error.missing and self.missing == "null":
                return None
            raise
        # A part of the context is handed on as it is: walking it would cost what it weighs.
        self.outlet.chars -= self._weight(value) if isinstance(value, dict | list | str) else 8
        self.check(expression)
        return value

    def check(self, expression: Expression) -> None:
        if self.outlet.chars < 0:
            raise ExpressionError(
                "The result is larger than 16 MB.", reason="limit", expression=expression.source
            )

    def _weight(self, value: Any) -> int:
        if isinstance(value, str):
            return len(value)
        weight = self._weights.get(id(value))
        if weight is None:
            weight = self._weights[id(value)] = len(_dumped(value))
        return weight

    def text(self, expression: Expression) -> str:
        text = _as_text(self.value(expression))
        self.outlet.chars -= len(text)
        self.check(expression)
        return text


_Render = Callable[[_Rendering], Any]


class Template:
    """A compiled template; immutable, shared by threads. What `render` returns is not changed by
    the caller: constant parts are the definition's own."""

    __slots__ = ("_render", "expressions", "is_constant", "names", "references", "source", "steps")

    def __init__(self, source: Any) -> None:
        builder = _Builder()
        render = builder.build(source, "")
        self.source = source
        # Where each expression stands (`q`, `items.0.id`), for faults that name the place.
        self.expressions: tuple[tuple[str, Expression], ...] = tuple(builder.found)
        self.is_constant = render is None
        constant = builder.plain(source) if render is None else None
        self._render: _Render = render or (lambda rendering: constant)
        self.references = _union(builder.found, "references")
        self.names = _union(builder.found, "names")
        self.steps = _union(builder.found, "steps")

    def __repr__(self) -> str:
        return f"Template({self.source!r:.200})"

    def render(self, context: Mapping[str, Any], missing: Missing = "error") -> Any:
        """The value with every `${…}` replaced. A missing path gives null where `missing` says so,
        else ExpressionError like everything that cannot be evaluated."""
        return self._render(_Rendering(context, missing))


def _union(found: list[tuple[str, Expression]], name: str) -> frozenset[str]:
    return frozenset().union(*(getattr(expression, name) for _, expression in found))


class _Builder:
    """Builds the closures; `found` collects the expressions with their places. A part without
    expressions gives None instead of a closure, so that constants cost nothing."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Expression]] = []

    def build(self, value: Any, place: str, depth: int = 0) -> _Render | None:
        if depth > MAX_DEPTH:
            raise invalid(f"The value is nested deeper than {MAX_DEPTH}.", reason="too_deep")
        if isinstance(value, str):
            return self._text(value, place) if "${" in value else None
        if isinstance(value, dict):
            parts = {
                key: self.build(item, f"{place}.{key}" if place else str(key), depth + 1)
                for key, item in value.items()
            }
            return self._object(value, parts) if any(parts.values()) else None
        if isinstance(value, list):
            items = [
                self.build(item, f"{place}.{number}" if place else str(number), depth + 1)
                for number, item in enumerate(value)
            ]
            return self._array(value, items) if any(items) else None
        return None

    def plain(self, value: Any) -> Any:
        """A constant part with each `$${` made `${`; the very same object where there is none."""
        if isinstance(value, str):
            return value.replace("$${", "${") if "$${" in value else value
        if isinstance(value, dict):
            made = {key: self.plain(item) for key, item in value.items()}
            return made if any(made[key] is not value[key] for key in made) else value
        if isinstance(value, list):
            items = [self.plain(item) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items
        return value

    def _object(self, value: dict[str, Any], parts: dict[str, _Render | None]) -> _Render:
        constant = {key: None if parts[key] else self.plain(item) for key, item in value.items()}
        moving = [(key, part) for key, part in parts.items() if part]

        def render(rendering: _Rendering) -> dict[str, Any]:
            made = constant.copy()
            for key, part in moving:
                made[key] = part(rendering)
            return made

        return render

    def _array(self, value: list[Any], parts: list[_Render | None]) -> _Render:
        pairs = zip(value, parts, strict=True)
        constant = [None if part else self.plain(item) for item, part in pairs]
        moving = [(number, part) for number, part in enumerate(parts) if part]

        def render(rendering: _Rendering) -> list[Any]:
            made = constant.copy()
            for number, part in moving:
                made[number] = part(rendering)
            return made

        return render

    def _text(self, text: str, place: str) -> _Render | None:
        try:
            pieces = split_text(text)
            if all(isinstance(piece, str) for piece in pieces):
                return None
            compiled = [
                piece if isinstance(piece, str) else compile_expression(piece.text)
                for piece in pieces
            ]
        except ExpressionError as error:
            error.place = place
            raise
        self.found += [(place, piece) for piece in compiled if isinstance(piece, Expression)]
        if len(compiled) == 1:
            whole: Any = compiled[0]
            return lambda rendering: rendering.value(whole)
        return lambda rendering: "".join(
            [piece if isinstance(piece, str) else rendering.text(piece) for piece in compiled]
        )


class Embedded:
    """The text between `${` and its brace."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def split_text(text: str) -> list[str | Embedded]:
    """A text in its literal and its embedded pieces; `$${` becomes a literal `${`."""
    pieces: list[str | Embedded] = []
    literal: list[str] = []
    at = 0
    while opening := _OPENING.search(text, at):
        literal.append(text[at : opening.start()])
        at = opening.end()
        if opening.group() == "$${":
            literal.append("${")
            continue
        end = _closing(text, at)
        if before := "".join(literal):
            pieces.append(before)
        literal = []
        pieces.append(Embedded(text[at:end]))
        if len(pieces) > _MAX_PIECES:
            raise invalid("A text holds too many expressions.", reason="too_many")
        at = end + 1
    if rest := "".join([*literal, text[at:]]):
        pieces.append(rest)
    return pieces


def _closing(text: str, start: int) -> int:
    depth = 0
    for match in _INSIDE.finditer(text, start, start + _MAX_SCAN):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            if not depth:
                return match.start()
            depth -= 1
    error = invalid("'${' has no matching '}' within 2,000 characters.", reason="unclosed")
    error.expression = text[start - 2 : start + 200]
    raise error


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return plain_number(value)
    return _dumped(value).decode()


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        raise ExpressionError("The value cannot be written as JSON.") from None


def compile_template(value: Any) -> Template:
    """Any JSON value with `${…}` in its texts. ExpressionError `expression_invalid`."""
    return Template(value)

"""Tokens into a syntax tree: CEL's grammar, read by precedence."""

import re

from controlplane.kit.expressions.errors import ExpressionError, invalid
from controlplane.kit.expressions.lexer import Token, tokens
from controlplane.kit.expressions.nodes import (
    Call,
    Chain,
    Choice,
    Comprehension,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Negate,
    Node,
    Not,
    Path,
    Select,
)
from controlplane.kit.expressions.values import INT64_MAX, INT64_MIN

MAX_DEPTH = 40
MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "existsOne": (2,), "filter": (2,),
          "map": (2, 3)}  # fmt: skip
NAMESPACES = frozenset(("math",))
_CONSTANTS = {"true": True, "false": False, "null": None}
_NO_FIELD = frozenset(("in", "true", "false", "null"))
_RESERVED = _NO_FIELD | {
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
}  # fmt: skip
_PLAIN_PATH = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*(?:\.[_a-zA-Z][_a-zA-Z0-9]*)+")
_RANKS = (("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))


def parse(text: str) -> Node:
    """The tree of an expression; ExpressionError `expression_invalid` with the position."""
    if not isinstance(text, str):
        raise invalid("An expression is text.")
    if len(text) < 200 and _PLAIN_PATH.fullmatch(text):
        # Most of what a graph holds, read without tokens.
        name, *fields = text.split(".")
        if name not in _RESERVED and _NO_FIELD.isdisjoint(fields):
            return Path(0, name, tuple(fields))
    try:
        return _Parser(text).whole()
    except ExpressionError as error:
        error.expression = text[:2_000]
        raise


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0
        if self._tokens[0].kind == "end":
            raise invalid("The expression is empty.", 0)

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _unexpected(self) -> ExpressionError:
        token = self._token
        if token.kind == "end":
            return invalid("The expression ends too early.", token.position)
        shown = token.value if token.kind != "literal" else "value"
        return invalid(f"Unexpected {shown!r}.", token.position)

    def _is(self, *values: str) -> bool:
        token = self._tokens[self._at]
        return token.kind != "literal" and token.value in values and token.kind != "end"

    def _take(self, value: str) -> bool:
        if self._is(value):
            self._at += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._take(value):
            raise self._unexpected()

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid("The expression is nested too deeply.", self._token.position, "too_deep")
        start = self._token.position
        node = self._logic(is_and=False)
        branches = []
        while self._take("?"):
            value = self._expression()
            self._expect(":")
            branches.append((node, value))
            node = self._logic(is_and=False)
        self._depth -= 1
        return Choice(start, branches, node) if branches else node

    def _logic(self, is_and: bool) -> Node:
        start = self._token.position
        parts = [self._logic(True) if not is_and else self._chain(0)]
        while self._take("&&" if is_and else "||"):
            parts.append(self._logic(True) if not is_and else self._chain(0))
        return Logic(start, is_and, parts) if len(parts) > 1 else parts[0]

    def _chain(self, rank: int) -> Node:
        if rank == len(_RANKS):
            return self._unary()
        start = self._token.position
        first = self._chain(rank + 1)
        rest = []
        while self._is(*_RANKS[rank]):
            operator = self._token.value
            self._at += 1
            rest.append((operator, self._chain(rank + 1)))
        return Chain(start, first, rest) if rest else first

    def _unary(self) -> Node:
        start = self._token.position
        for sign in ("!", "-"):
            count = 0
            while self._take(sign):
                count += 1
            if count:
                return self._prefixed(start, sign, count)
        return self._postfix(self._primary())

    def _prefixed(self, start: int, sign: str, count: int) -> Node:
        token = self._token
        if sign == "-" and token.kind == "literal" and type(token.value) is int:
            self._at += 1
            number = Literal(start, -token.value)
            if number.value < INT64_MIN:
                raise invalid("An integer is beyond 64 bits.", start)
            operand = self._postfix(number)
            return Negate(start, operand, count - 1) if count > 1 else operand
        operand = self._postfix(self._primary())
        return (Not if sign == "!" else Negate)(start, operand, count)

    def _primary(self) -> Node:
        token = self._token
        if token.kind == "literal":
            self._at += 1
            if type(token.value) is int and token.value > INT64_MAX:
                raise invalid("An integer is beyond 64 bits.", token.position)
            return Literal(token.position, token.value)
        if token.kind == "name":
            return self._named(token)
        if self._take("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._take("["):
            return ListOf(token.position, self._items("]"))
        if self._take("{"):
            return MapOf(token.position, self._pairs())
        raise self._unexpected()

    def _named(self, token: Token) -> Node:
        name = token.value
        if name in _CONSTANTS:
            self._at += 1
            return Literal(token.position, _CONSTANTS[name])
        if name in _RESERVED:
            raise invalid(f"{name!r} is a reserved word.", token.position)
        self._at += 1
        if not self._take("("):
            return Path(token.position, name)
        args = self._items(")")
        if name != "has":
            return Call(token.position, name, args)
        return self._has(token.position, args)

    def _has(self, position: int, args: list[Node]) -> Node:
        subject = args[0] if len(args) == 1 else None
        if isinstance(subject, Select):
            return Has(position, subject.target, subject.field)
        if isinstance(subject, Path) and subject.fields:
            parent = Path(subject.position, subject.name, subject.fields[:-1])
            return Has(position, parent, subject.fields[-1])
        raise invalid("has() takes one path with a field, as in has(input.city).", position)

    def _items(self, closing: str) -> list[Node]:
        items: list[Node] = []
        while not self._take(closing):
            items.append(self._expression())
            if not self._take(","):
                self._expect(closing)
                break
        return items

    def _pairs(self) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        while not self._take("}"):
            key = self._expression()
            self._expect(":")
            pairs.append((key, self._expression()))
            if not self._take(","):
                self._expect("}")
                break
        return pairs

    def _postfix(self, node: Node) -> Node:
        while True:
            position = self._token.position
            if self._take("["):
                key = self._expression()
                self._expect("]")
                node = _indexed(position, node, key)
            elif self._take("."):
                node = self._member(node)
            elif self._is("{"):
                raise invalid("There are no messages here, only maps.", position)
            else:
                return node

    def _member(self, node: Node) -> Node:
        token = self._token
        if token.kind != "name" or token.value in _NO_FIELD:
            raise self._unexpected()
        self._at += 1
        name = token.value
        if not self._take("("):
            if isinstance(node, Path):
                return Path(node.position, node.name, (*node.fields, name))
            return Select(token.position, node, name)
        args = self._items(")")
        if name in MACROS:
            return _comprehension(token, node, args)
        if isinstance(node, Path) and not node.fields and node.name in NAMESPACES:
            return Call(token.position, f"{node.name}.{name}", args)
        return Call(token.position, name, [node, *args])


def _indexed(position: int, node: Node, key: Node) -> Node:
    if isinstance(node, Path) and isinstance(key, Literal) and type(key.value) is str:
        return Path(node.position, node.name, (*node.fields, key.value))
    return Index(position, node, key)


def _comprehension(token: Token, over: Node, args: list[Node]) -> Node:
    name, variable = token.value, args[0] if args else None
    if len(args) not in MACROS[name] or not isinstance(variable, Path) or variable.fields:
        raise invalid(f"{name}() takes a variable and an expression: {name}(x, …).", token.position)
    return Comprehension(token.position, name, over, variable.name, args[1:])

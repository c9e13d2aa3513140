"""Text of an expression into tokens, by one pattern that cannot backtrack far."""

import re
from typing import Any, NamedTuple

from controlplane.kit.expressions.errors import invalid
from controlplane.kit.expressions.values import INT64_MAX, UINT64_MAX, UInt

MAX_LENGTH = 2_000

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"{3}|'{3}|"|'))
    |(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+
        |\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>0[xX][0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<op>&&|\|\||==|!=|<=|>=|[-<>+*/%!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})"
    r"|(.)|$)",
    re.DOTALL,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Token(NamedTuple):
    """`kind` is literal, name, op or end; `value` of a literal is its Python value."""

    kind: str
    value: Any
    position: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, the last one `end`. ExpressionError for what is no token."""
    if len(text) > MAX_LENGTH:
        raise invalid(
            f"An expression has at most {MAX_LENGTH:,} characters, this one {len(text):,}.",
            reason="too_long",
        )
    if "\x00" in text or not (text.isascii() or _is_text(text)):
        raise invalid("The expression holds a character that is no text.")
    found: list[Token] = []
    position, end = 0, len(text)
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid(f"Unexpected {text[position]!r}.", position)
        kind = match.lastgroup
        start, position = position, match.end()
        if kind == "name" or kind == "op":
            found.append(Token(kind, match.group(), start))
        elif kind == "string":
            value, position = _string(text, match.group(), start, position)
            found.append(Token("literal", value, start))
        elif kind != "space":
            found.append(Token("literal", _number(match.group(), kind == "float", start), start))
    found.append(Token("end", "", end))
    return found


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(text: str, is_float: bool, position: int) -> Any:
    if is_float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise invalid(f"{text} is too large for a double.", position)
        return number
    unsigned = text[-1] in "uU"
    digits = text[:-1] if unsigned else text
    value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
    # One more than the largest int: the parser accepts it behind a minus only.
    if value > (UINT64_MAX if unsigned else INT64_MAX + 1):
        raise invalid("An integer is beyond 64 bits.", position)
    return UInt(value) if unsigned else value


def _string(text: str, opening: str, start: int, position: int) -> tuple[Any, int]:
    prefix = opening.rstrip("\"'").lower()
    quote = opening[len(prefix) :]
    raw = "r" in prefix
    cursor = position
    while True:
        cursor = text.find(quote, cursor)
        if cursor < 0:
            raise invalid("A text is not closed.", start)
        if raw or not _escaped(text, position, cursor):
            break
        cursor += 1
    body = text[position:cursor]
    if len(quote) == 1 and "\n" in body:
        raise invalid("A text of one line holds a line break.", start)
    if "b" in prefix:
        return _bytes(body, raw, start), cursor + len(quote)
    return (body if raw else _unescape(body, start)), cursor + len(quote)


def _escaped(text: str, start: int, at: int) -> bool:
    slashes = 0
    while at - slashes > start and text[at - slashes - 1] == "\\":
        slashes += 1
    return slashes % 2 == 1


def _unescape(body: str, start: int, as_bytes: bool = False) -> str:
    if "\\" not in body:
        return body

    def replace(match: re.Match[str]) -> str:
        simple, two, four, eight, octal, _ = match.groups()
        if simple:
            return _SIMPLE.get(simple, simple)
        if as_bytes and (four or eight):
            raise invalid("Bytes take no \\u escape.", start)
        digits = two or four or eight
        if not digits and not octal:
            raise invalid(f"Unknown escape {match.group()!r} in a text.", start)
        number = int(digits, 16) if digits else int(octal, 8)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000 or (number == 0 and not as_bytes):
            raise invalid(f"{match.group()!r} is no character a text can hold.", start)
        return chr(number)

    return _ESCAPE.sub(replace, body)


def _bytes(body: str, raw: bool, start: int) -> bytes:
    if raw or "\\" not in body:
        return body.encode()
    # Escapes name bytes, all other characters stand for their UTF-8.
    pieces = re.split(r"(\\(?:[xX][0-9a-fA-F]{2}|[0-3][0-7]{2}|.))", body, flags=re.DOTALL)
    return b"".join(
        _unescape(piece, start, as_bytes=True).encode("latin-1")
        if piece.startswith("\\")
        else piece.encode()
        for piece in pieces
    )

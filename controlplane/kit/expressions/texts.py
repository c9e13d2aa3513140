"""The functions on text; all linear, `matches` by an engine without backtracking."""

import string
from collections.abc import Callable
from typing import Any

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.scope import Scope, mismatch
from controlplane.kit.expressions.values import MAX_RESULT_CHARS, adopt, type_name
from controlplane.kit.patterns import PatternError, compile_pattern

_MAX_PIECES = 100_000
# What the first use of a pattern costs the budget, and how many steps of the engine a unit buys.
_PATTERN_UNITS = 20_000
_PATTERN_STEPS_PER_UNIT = 20


def _texts(name: str, *values: Any) -> None:
    for value in values:
        if type(value) is not str:
            raise mismatch(f"{name}() needs text, not {type_name(value)}.")


def _spend_search(scope: Scope, text: str, part: str) -> None:
    # CPython searches texts of up to 30,000 characters naively, longer ones in linear time.
    naive = min(len(text), 30_000) * min(len(part), 100) // 256
    scope.spend(1 + naive + (len(text) + len(part)) // 32)


def _test(name: str, run: Callable[[str, str], bool]) -> Callable[..., bool]:
    def call(scope: Scope, text: Any, part: Any) -> bool:
        _texts(name, text, part)
        _spend_search(scope, text, part)
        return run(text, part)

    return call


def matches(scope: Scope, text: Any, pattern: Any) -> bool:
    """Whether the pattern is found in the text."""
    _texts("matches", text, pattern)
    if pattern not in scope.patterns:
        scope.spend(_PATTERN_UNITS)
        scope.patterns.add(pattern)
    try:
        compiled = compile_pattern(pattern)
        scope.spend(1 + len(text) * compiled.weight // _PATTERN_STEPS_PER_UNIT)
        return compiled.found_in(text)
    except PatternError as error:
        raise ExpressionError(f"matches(): {error}", reason="pattern") from None


def _changed(name: str, run: Callable[[str], str]) -> Callable[..., str]:
    def call(scope: Scope, text: Any) -> str:
        _texts(name, text)
        scope.spend_chars(len(text))
        return run(text)

    return call


def _ascii_case(change: Callable[[str], str]) -> Callable[[str], str]:
    letters = {ord(letter): change(letter) for letter in string.ascii_letters}
    return lambda text: change(text) if text.isascii() else text.translate(letters)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise mismatch(f"{name}() needs an int, not {type_name(value)}.")
    return value


def split(scope: Scope, text: Any, separator: Any, limit: Any = -1) -> list[str]:
    """The pieces between separators; `limit` is the most pieces, -1 all of them."""
    _texts("split", text, separator)
    limit = _whole("split", limit)
    _spend_search(scope, text, separator)
    if limit == 0:
        return []
    count = len(text) if not separator else text.count(separator) + 1
    if 0 < limit < count:
        count = limit
    if count > _MAX_PIECES:
        raise ExpressionError(f"split() makes more than {_MAX_PIECES:,} pieces.")
    scope.spend(count // 4)
    if separator:
        return text.split(separator, count - 1)
    return list(text) if count >= len(text) else [*text[: count - 1], text[count - 1 :]]


def join(scope: Scope, items: Any, separator: Any = "") -> str:
    """The texts of a list in one, with the separator between."""
    if type(items) is not list:
        raise mismatch(f"join() needs a list, not {type_name(items)}.")
    scope.spend(len(items) // 4)
    items = [adopt(item) for item in items]
    _texts("join", separator, *items)
    _make_room(scope, sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def replace(scope: Scope, text: Any, old: Any, new: Any, limit: Any = -1) -> str:
    """The text with `old` replaced by `new`, at most `limit` times."""
    _texts("replace", text, old, new)
    limit = _whole("replace", limit)
    _spend_search(scope, text, old)
    count = len(text) + 1 if not old else text.count(old)
    count = min(count, limit) if limit >= 0 else count
    _make_room(scope, len(text) + count * len(new))
    return text.replace(old, new, limit)


def _make_room(scope: Scope, size: int) -> None:
    if size > MAX_RESULT_CHARS:
        raise ExpressionError("The result is larger than 16 MB.")
    scope.spend_chars(size)


def substring(scope: Scope, text: Any, start: Any, end: Any = None) -> str:
    """The characters from `start` up to, without, `end`."""
    _texts("substring", text)
    end = len(text) if end is None else _whole("substring", end)
    if not 0 <= _whole("substring", start) <= end <= len(text):
        raise ExpressionError(f"substring() reaches outside a text of {len(text)} characters.")
    scope.spend_chars(end - start)
    return text[start:end]


def index_of(scope: Scope, text: Any, part: Any) -> int:
    """Where `part` first is, -1 if nowhere."""
    _texts("indexOf", text, part)
    _spend_search(scope, text, part)
    return text.find(part)


def last_index_of(scope: Scope, text: Any, part: Any) -> int:
    """Where `part` last is, -1 if nowhere."""
    _texts("lastIndexOf", text, part)
    _spend_search(scope, text, part)
    # Searching backwards is naive at every length; turned around it is not.
    found = text[::-1].find(part[::-1])
    return -1 if found < 0 else len(text) - found - len(part)


def contains(scope: Scope, text: Any, part: Any) -> bool:
    """Whether the text holds the part. For lists there is `in`."""
    if type(text) is list:
        raise mismatch("contains() needs text; for a list write 'x in list'.")
    return _contains(scope, text, part)


_contains = _test("contains", lambda text, part: part in text)

TEXTS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "contains": (contains, 2, 2),
    "startsWith": (_test("startsWith", str.startswith), 2, 2),
    "endsWith": (_test("endsWith", str.endswith), 2, 2),
    "matches": (matches, 2, 2),
    "lowerAscii": (_changed("lowerAscii", _ascii_case(str.lower)), 1, 1),
    "upperAscii": (_changed("upperAscii", _ascii_case(str.upper)), 1, 1),
    "trim": (_changed("trim", str.strip), 1, 1),
    "split": (split, 2, 3),
    "join": (join, 1, 2),
    "replace": (replace, 3, 4),
    "substring": (substring, 2, 3),
    "indexOf": (index_of, 2, 2),
    "lastIndexOf": (last_index_of, 2, 2),
}

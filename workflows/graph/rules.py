"""Rules for one value of a definition; each yields faults as (place below, code, message)."""

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from controlplane.kit import schemas

Problem = tuple[str, str, str]
Rule = Callable[[Any], Iterator[Problem]]

ID = re.compile(r"[a-z][a-z0-9_]*")
MAX_ID = 63
MAX_ITEMS = 10_000
DAY = 86_400


def is_dynamic(value: Any) -> bool:
    """Whether a value is text with an expression in it, known only when it is rendered."""
    return isinstance(value, str) and "${" in value.replace("$${", "")


def kind_of(value: Any) -> str:
    """What a value is, in the words of JSON."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "text", dict: "an object", list: "a list"}
    return names.get(type(value), "a number")


def _wrong_type(wanted: str, value: Any) -> Problem:
    return "", "type", f"This is {wanted}, not {kind_of(value)}."


def anything(value: Any) -> Iterator[Problem]:
    """Every value will do."""
    return iter(())


def text(most: int = 100_000, empty: bool = True) -> Rule:
    """Text of at most so many characters."""

    def rule(value: Any) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield _wrong_type("text", value)
        elif len(value) > most:
            yield "", "too_long", f"This text has more than {most:,} characters."
        elif not empty and not value.strip():
            yield "", "required", "This is required."

    return rule


def objects(value: Any) -> Iterator[Problem]:
    """An object; which keys it has is free."""
    if not isinstance(value, dict):
        yield _wrong_type("an object", value)


def flag(value: Any) -> Iterator[Problem]:
    """true or false."""
    if not isinstance(value, bool):
        yield _wrong_type("true or false", value)


def number(least: float, most: float, above: bool = False, whole: bool = False) -> Rule:
    """A number between two bounds; `above` leaves the lower one out, `whole` takes integers."""

    def rule(value: Any) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield _wrong_type("a number", value)
        elif not math.isfinite(value) or (whole and value != int(value)):
            yield "", "type", "This is a whole number." if whole else "This is a finite number."
        elif not least <= value <= most or (above and value == least):
            low = f"more than {least:,}" if above else f"at least {least:,}"
            yield "", "range", f"This is {low} and at most {most:,}, not {value:,}."

    return rule


def choice(*allowed: str) -> Rule:
    """One of a few words."""

    def rule(value: Any) -> Iterator[Problem]:
        if value not in allowed:
            yield "", "choice", f"This is one of {', '.join(allowed)}."

    return rule


def moment(value: Any) -> Iterator[Problem]:
    """A time with its offset, such as 2026-01-31T07:00:00Z."""
    try:
        if datetime.fromisoformat(value).tzinfo is not None:
            return
    except (TypeError, ValueError):
        pass
    yield "", "type", "This is a time with its offset, such as 2026-01-31T07:00:00Z."


def schema(value: Any) -> Iterator[Problem]:
    """A JSON Schema that can be used."""
    for problem in schemas.schema_faults(value, ""):
        yield problem.field.strip("."), problem.code, problem.message


def people(value: Any) -> Iterator[Problem]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        yield _wrong_type("a list of texts", value)
    elif len(value) > 100:
        yield "", "too_long", "At most 100 people can be named."


def listed(value: Any) -> Iterator[Problem]:
    """A list, or an expression that gives one."""
    if not isinstance(value, list):
        yield "", "type", "This is a list, or an expression that gives one."
    elif len(value) > MAX_ITEMS:
        yield "", "too_many_items", f"A map has at most {MAX_ITEMS:,} items."


def position(value: Any) -> Iterator[Problem]:
    """Where the editor draws the step."""
    if not isinstance(value, dict):
        yield _wrong_type("an object with x and y", value)
        return
    for key, item in value.items():
        if key not in ("x", "y"):
            yield key, "unknown_field", "A position has x and y only."
        elif isinstance(item, bool) or not isinstance(item, int | float):
            yield key, "type", "This is a number."


_RETRY: dict[str, Rule] = {
    "max_attempts": number(1, 100, whole=True),
    "backoff_seconds": number(0, DAY),
    "max_backoff_seconds": number(0, DAY),
}


def retry(value: Any) -> Iterator[Problem]:
    """How often and how soon again."""
    if not isinstance(value, dict):
        yield _wrong_type("an object", value)
        return
    for key, item in value.items():
        rule = _RETRY.get(key)
        if rule is None:
            yield key, "unknown_field", f"A retry has {', '.join(_RETRY)} only."
        elif item is not None:
            for _, code, message in rule(item):
                yield key, code, message

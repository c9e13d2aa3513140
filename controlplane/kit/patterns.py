"""Regular expressions of strangers: an engine without backtracking, and what a search may cost."""

import re
from functools import lru_cache

from jsonschema_rs import RegexOptions, ValidationError, validator_for

MAX_LENGTH = 1_000
MAX_WEIGHT = 5_000
OPTIONS = RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 18)
_COUNT = re.compile(r"\{([0-9]{1,9})(?:(,)([0-9]{0,9}))?\}")


class PatternError(ValueError):
    """A pattern that is wrong, too large, or uses what needs backtracking."""


class Pattern:
    """A compiled pattern. Searching a text costs at most about `weight` steps a character."""

    __slots__ = ("_validator", "weight")

    def __init__(self, text: str) -> None:
        self.weight = weigh(text)
        try:
            self._validator = validator_for({"pattern": text}, pattern_options=OPTIONS)
        except (ValidationError, ValueError):
            raise PatternError(
                "This pattern is not valid, or uses look-around or back references."
            ) from None

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        try:
            return self._validator.is_valid(text)
        except UnicodeEncodeError:
            raise PatternError("The text holds a lone surrogate.") from None


@lru_cache(maxsize=128)
def compile_pattern(text: str) -> Pattern:
    """The pattern, compiled once. PatternError where it cannot be used."""
    return Pattern(text)


def weigh(text: str) -> int:
    """How many states the pattern unfolds to, roughly: repetition counts multiply."""
    if len(text) > MAX_LENGTH:
        raise PatternError(f"A pattern has at most {MAX_LENGTH:,} characters.")
    groups, last, at = [0], 0, 0
    while at < len(text):
        char = text[at]
        at += 1
        count = _COUNT.match(text, at - 1) if char == "{" else None
        if count:
            low, comma, high = count.groups()
            times = max(int(low) + bool(comma), int(high or 0))
            groups[-1] += last * (times - 1)
            last *= times
            at = count.end()
        elif char == "(":
            groups.append(1)
        elif char == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        else:
            at = _after(text, char, at)
            last = 1
            groups[-1] += 1
        if groups[-1] > MAX_WEIGHT:
            raise PatternError("The repetitions of this pattern multiply to too much.")
    return max(sum(groups), 1)


def _after(text: str, char: str, at: int) -> int:
    """Where the class or escape that began before `at` ends."""
    if char == "\\":
        if text[at : at + 2] in ("p{", "P{", "x{", "u{"):
            return (text.find("}", at) + 1) or len(text)
        return at + 1
    if char != "[":
        return at
    depth = 1
    while at < len(text) and depth:
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        at += 2 if text[at] == "\\" else 1
    return at

"""Secret values out of whatever is kept or shown: records, errors, logs, outputs."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••••"
# Shorter values are part of ordinary words and numbers: masking them would garble everything.
_LEAST = 4


def _spellings(value: str) -> Iterable[str]:
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    encoded = base64.b64encode(value.encode())
    yield encoded.decode()
    yield encoded.decode().rstrip("=")
    yield base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


class Redactor:
    """Masks the given secret values in any of their usual spellings."""

    __slots__ = ("_pattern",)

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = {
            spelling for value in values if len(value) >= _LEAST for spelling in _spellings(value)
        }
        longest_first = sorted(found, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def text(self, text: str) -> str:
        """The text without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """A JSON value without the secrets, keys included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

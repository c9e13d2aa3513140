"""JSON in and out: strict on the way in, quick on the way out."""

import json
import re
from decimal import Decimal
from typing import Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from controlplane.kit.errors import DomainError, InvalidInput

MAX_BODY_BYTES = 10 * 1024 * 1024
_LONG_INTEGER = re.compile(rb"\d{19}")
_INT64 = (-(2**63), 2**63 - 1)


def money(value: Decimal | None) -> str | None:
    """Plain decimal text without exponent or trailing zeros; null stays null."""
    if value is None:
        return None
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def dumps(value: Any) -> bytes:
    """Compact JSON; Decimal as plain text, UUID and datetime as in the contract."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _refuse_constant(name: str) -> Any:
    raise ParseError(f"{name} is not JSON.")


def _check_integer(text: str) -> int:
    number = int(text) if len(text) < 25 else _INT64[1] + 1
    if not _INT64[0] <= number <= _INT64[1]:
        raise InvalidInput.of("", "An integer is beyond 64 bits.", "integer_too_large")
    return number


def strict_loads(raw: bytes) -> Any:
    """Parse a body. ParseError (400) for what is no JSON, NaN or Infinity; 422 for text or numbers
    that cannot be stored: NUL, lone surrogates, integers beyond 64 bits."""
    if len(raw) > MAX_BODY_BYTES:
        raise DomainError("The body is larger than 10 MB.", code="too_large", status=413)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        _explain_failure(raw, exc)
    if b"\\u0000" in raw and "\x00" in _all_text(value):
        raise InvalidInput.of("", "Text holds a NUL character.", "nul_character")
    if _LONG_INTEGER.search(raw):
        json.loads(raw, parse_int=_check_integer, parse_constant=_refuse_constant)
    return value


def _all_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "\x00")


def _explain_failure(raw: bytes, exc: orjson.JSONDecodeError) -> None:
    try:
        json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError:
        raise ParseError("The JSON is nested too deeply.") from None
    except ValueError:
        raise ParseError(f"The body is not valid JSON: {exc}.") from None
    if b"\\ud" in raw.lower():
        raise InvalidInput.of("", "Text holds a lone surrogate.", "lone_surrogate")
    raise ParseError("The JSON is nested too deeply.")


class StrictJSONParser(BaseParser):
    """Bodies as JSON, by `strict_loads`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The parsed body; an empty one is an empty object."""
        raw = stream.read()
        return strict_loads(raw) if raw.strip() else {}


class OrjsonRenderer(BaseRenderer):
    """Answers as compact JSON."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "text"

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        """Bytes of the answer; nothing for an empty one."""
        return b"" if data is None else dumps(data)

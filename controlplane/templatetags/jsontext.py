"""JSON and log text made safe and legible: indented, coloured by kind, no hidden characters."""

import json
import re
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString

LIMIT = 200_000
_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>\b(?:true|false|null)\b)"
)
# Characters that reorder or hide text, so that what is read is what is stored.
_HIDDEN = re.compile("[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _escape_hidden(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def as_json_text(value: Any) -> str:
    """`value` indented by two; hidden characters as escapes; decimals and ids as text."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return _HIDDEN.sub(_escape_hidden, text)


def as_json_line(value: Any) -> str:
    """`value` on one line, hidden characters as escapes."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _HIDDEN.sub(_escape_hidden, text)


def visible_text(value: Any) -> str:
    """Text with control and hidden characters shown as escapes; new lines and tabs stay."""
    text = _CONTROL.sub(lambda m: f"\\x{ord(m.group()):02x}", str(value))
    return _HIDDEN.sub(_escape_hidden, text)


def highlight(value: Any) -> SafeString:
    """`value` as escaped HTML with a span for each token; plain and cut beyond LIMIT characters."""
    text = as_json_text(value)
    if len(text) > LIMIT:
        return SafeString(f"{escape(text[:LIMIT])}\n…")
    out, end = [], 0
    for match in _TOKEN.finditer(text):
        out.append(escape(text[end : match.start()]))
        out.append(f'<span class="json-{match.lastgroup}">{escape(match.group())}</span>')
        end = match.end()
    out.append(escape(text[end:]))
    return SafeString("".join(out))

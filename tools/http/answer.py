"""What an HTTP answer means: its output, whether to try again, and the record people see."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from controlplane.kit.egress import Redactor
from tools.calls import Fate, ToolError

MAX_RECORDED = 20_000
_MAX_WAIT_SECONDS = 24 * 3600.0
_TEXT_TYPES = (
    "text/",
    "application/json",
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
    "application/x-ndjson",
    "application/yaml",
)
_PRIVATE_HEADERS = frozenset(("set-cookie", "authorization", "www-authenticate", "cookie"))


def output_of(body: bytes, content_type: str) -> Any:
    """The decoded JSON body, else {"text": …}. ToolError `output_not_storable` where it is neither
    JSON that can be kept nor text."""
    media, charset = _media(content_type)
    is_json = media == "application/json" or media.endswith("+json")
    looks_json = media in ("", "text/plain", "application/octet-stream") and body.lstrip()[:1] in (
        b"{",
        b"[",
    )
    if is_json or looks_json:
        try:
            return json.loads(body, parse_constant=_no_constant)
        except UnicodeDecodeError:
            raise _not_storable("it is not valid UTF-8") from None
        except RecursionError:
            raise _not_storable("its JSON is nested too deeply") from None
        except ValueError:
            pass
    return {"text": _text(body, media, charset)}


def _no_constant(name: str) -> Any:
    raise _not_storable(f"it holds {name}")


def _text(body: bytes, media: str, charset: str) -> str:
    try:
        return body.decode(charset or "utf-8")
    except LookupError:
        raise _not_storable(f"its charset {charset} is unknown") from None
    except UnicodeDecodeError:
        is_text = not media or media.startswith(_TEXT_TYPES) or media.endswith(("+json", "+xml"))
        what = f"it is not valid {charset or 'UTF-8'}" if is_text else f"it is {media}, not text"
        raise _not_storable(what) from None


def _media(content_type: str) -> tuple[str, str]:
    media, _, rest = content_type.partition(";")
    for part in rest.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), value.strip().strip("\"'")
    return media.strip().lower(), ""


def _not_storable(what: str) -> ToolError:
    return ToolError(
        f"The answer cannot be kept: {what}.", code="output_not_storable", fate="answered"
    )


def failure(status: int, name: str, headers: Mapping[str, str]) -> ToolError:
    """The error of an answer of 400 or more; 408, 429 and 5xx are worth another try."""
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    # A gateway that lost its server does not know what the server did.
    fate: Fate = "unknown" if status in (502, 504) else "answered"
    return ToolError(
        f"{name} answered {phrase}.",
        code="http_status",
        retryable=status in (408, 429) or status >= 500,
        retry_after_seconds=retry_after(headers.get("retry-after", "")),
        fate=fate,
    )


def retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header, given as a number or a date; None where it says nothing."""
    text = text.strip()
    if text.isdigit():
        return min(float(text[:9]), _MAX_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    left = (at - datetime.now(UTC)).total_seconds()
    return min(max(left, 0.0), _MAX_WAIT_SECONDS)


def recorded_body(body: bytes | None, redactor: Redactor) -> str | None:
    """A body as people see it: text, cut, secrets masked."""
    if not body:
        return None
    text = redactor.text(body.decode("utf-8", errors="replace")).replace("\x00", "�")
    return text if len(text) <= MAX_RECORDED else f"{text[:MAX_RECORDED]}…"


def recorded_headers(headers: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    """Headers as people see them; those that carry credentials only by name."""
    return {
        redactor.text(name): "•••••" if name.lower() in _PRIVATE_HEADERS else redactor.text(value)
        for name, value in headers.items()
    }

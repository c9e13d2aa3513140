"""Small checks of configuration values; each notes its faults and gives a value to go on with."""

import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from controlplane.kit import schemas
from controlplane.kit.egress import addresses
from controlplane.kit.errors import FieldProblem
from controlplane.kit.ids import parse_uuid
from controlplane.kit.json import money

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
LONGEST_URL = 2_000


class Faults(list[FieldProblem]):
    """What is wrong so far."""

    def note(self, field: str, code: str, message: str) -> None:
        """One fault of `config.<field>`."""
        self.append(FieldProblem(f"config.{field}", code, message))


def unknown(
    config: Mapping[str, Any], known: Collection[str], faults: Faults, at: str = ""
) -> None:
    """Note every key that is not known."""
    for name in config:
        if name not in known:
            faults.note(f"{at}{name}", "unknown_field", "Unknown field.")


def text(value: Any, field: str, faults: Faults, *, longest: int, required: bool = False) -> str:
    """Text, empty where it is absent."""
    if value is None or value == "":
        if required:
            faults.note(field, "required", "This is required.")
        return ""
    if not isinstance(value, str):
        faults.note(field, "invalid", f"{field} must be text.")
    elif len(value) > longest:
        faults.note(field, "max_length", f"{field} has at most {longest:,} characters.")
    elif _CONTROL.search(value):
        faults.note(field, "invalid", f"{field} holds control characters.")
    else:
        return value
    return ""


def choice(value: Any, field: str, faults: Faults, options: Collection[str]) -> str:
    """One of a few words."""
    if value is None:
        faults.note(field, "required", "This is required.")
        return ""
    if not isinstance(value, str) or value not in options:
        faults.note(field, "invalid_choice", f"{field} is one of {', '.join(options)}.")
        return ""
    return value


def number(
    value: Any, field: str, faults: Faults, *, least: float, most: float, whole: bool = False
) -> Any:
    """A number between two bounds, or None."""
    if value is None:
        return None
    kinds = int if whole else int | float
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not least <= value <= most:
        what = "a whole number" if whole else "a number"
        faults.note(field, "invalid", f"{field} is {what} from {least:,g} to {most:,g}.")
        return None
    return value


def amount(value: Any, field: str, faults: Faults, *, most: Decimal) -> str | None:
    """Money as plain decimal text, or None."""
    if value is None:
        return None
    try:
        found = Decimal(str(value)) if not isinstance(value, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or not 0 < found <= most:
        faults.note(field, "invalid", f"{field} is an amount above 0, at most {most:,}.")
        return None
    return money(found)


def slug(value: Any, field: str, faults: Faults) -> str | None:
    """The name of a secret, or None."""
    if value is None:
        return None
    if not isinstance(value, str) or not _SLUG.match(value):
        faults.note(field, "invalid", f"{field} is a name of lower-case letters, digits, - and _.")
        return None
    return value


def identity(value: Any, field: str, faults: Faults) -> str | None:
    """The id of a row as text, or None."""
    if value is None or value == "":
        return None
    found = parse_uuid(value) if isinstance(value, str) else None
    if found is None:
        faults.note(field, "does_not_exist", f"{field} is the id of a {field}.")
    return str(found) if found else None


def slugs(value: Any, field: str, faults: Faults, *, most: int) -> list[str]:
    """Slugs, each once."""
    if value is None:
        return []
    if not isinstance(value, list):
        faults.note(field, "invalid", f"{field} must be a list of slugs.")
        return []
    if len(value) > most:
        faults.note(field, "max_length", f"{field} has at most {most} entries.")
        return []
    found = []
    for index, item in enumerate(value):
        if not isinstance(item, str) or not _SLUG.match(item):
            faults.note(f"{field}.{index}", "invalid", "This is not a slug.")
        elif item in found:
            faults.note(f"{field}.{index}", "duplicate", f"{item} is named twice.")
        else:
            found.append(item)
    return found


def mapping(value: Any, field: str, faults: Faults) -> dict[str, Any]:
    """An object, empty where it is absent."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.note(field, "invalid", f"{field} must be an object.")
        return {}
    return dict(value)


def schema(value: Any, field: str, faults: Faults) -> dict[str, Any] | None:
    """A JSON Schema, or None."""
    if value is None:
        return None
    found = schemas.schema_faults(value, f"config.{field}")
    faults.extend(found)
    return None if found else value


def url(value: Any, field: str, faults: Faults, *, required: bool = False) -> str | None:
    """An http(s) URL, without credentials, query or fragment, or None."""
    if value is None or value == "":
        if required:
            faults.note(field, "required", "This is required.")
        return None
    if problem := _url_problem(value):
        faults.note(field, "invalid_url", problem)
        return None
    return str(value).rstrip("/")


def _url_problem(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_URL:
        return f"A URL is text of at most {LONGEST_URL:,} characters."
    if re.search(r"[\s\x00-\x1f\x7f\\]", value):
        return "The URL holds spaces or control characters."
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "This is not a valid URL."
    if parts.scheme not in ("http", "https"):
        return "The URL must begin with http:// or https://."
    if not host or port == 0:
        return "The URL has no host."
    if not host.isascii():
        return "Write the host in its ASCII form (xn--…)."
    if "@" in parts.netloc:
        return "The URL holds credentials; name a secret instead."
    if problem := addresses.numeric_problem(host):
        return f"The host {host} is not taken: {problem}."
    if parts.query or parts.fragment:
        return "The URL ends with its path, without ? and #."
    return ""

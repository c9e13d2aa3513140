"""The config of an HTTP tool: what it may say, what is left out, what is wrong with it."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from controlplane.kit.egress import addresses
from controlplane.kit.errors import FieldProblem, InvalidInput

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
BODILESS = ("GET", "HEAD", "OPTIONS")
BODY_TYPES = ("json", "form", "raw")
AUTH_KEYS = {
    "none": ((), ()),
    "bearer": (("secret",), ()),
    "basic": (("secret",), ("username",)),
    "header": (("secret", "name"), ("prefix",)),
    "query": (("secret", "name"), ()),
}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLACE_IN_HOST = re.compile(r"[{}\s\\]")
# Written by the client itself, or able to split one request into two.
_OWN_HEADERS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_CREDENTIAL_HEADERS = frozenset(("authorization", "cookie"))


class _Faults(list[FieldProblem]):
    def note(self, field: str, code: str, message: str) -> None:
        self.append(FieldProblem(f"config.{field}", code, message))


def clean(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every key present. InvalidInput names each wrong key as `config.<key>`."""
    faults = _Faults()
    kept = {name: take(config.get(name), faults) for name, take in _KEYS.items()}
    for name in config:
        if name not in _KEYS:
            faults.note(str(name), "unknown_field", "Unknown field.")
    if not faults:
        _check_together(kept, faults)
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return kept


def host_of(url: str) -> tuple[str, int]:
    """The host of a clean URL template and the port it means."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _method(value: Any, faults: _Faults) -> str:
    if value is None:
        return "GET"
    if not isinstance(value, str) or value.upper() not in METHODS:
        faults.note("method", "invalid_choice", f"method is one of {', '.join(METHODS)}.")
        return "GET"
    return value.upper()


def _url(value: Any, faults: _Faults) -> str:
    if value is None or value == "":
        faults.note("url", "required", "This is required.")
        return ""
    if problem := _url_problem(value):
        faults.note("url", "invalid_url", problem)
    return str(value)


def _url_problem(value: Any) -> str:
    if not isinstance(value, str):
        return "url must be text."
    if len(value) > 4000:
        return "The URL is longer than 4,000 characters."
    if _CONTROL.search(value) or " " in value:
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
        return "The URL holds credentials; give them by auth with a secret."
    if _PLACE_IN_HOST.search(parts.netloc):
        return "An argument cannot stand in the host of the URL."
    if problem := addresses.numeric_problem(host):
        return f"The host {host} is not taken: {problem}."
    if parts.fragment:
        return "The URL has a fragment (#…), which is never sent."
    return ""


def _headers(value: Any, faults: _Faults) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, text in _mapping(value, "headers", faults).items():
        field = f"headers.{name}"
        if not _TOKEN.match(name):
            faults.note(field, "invalid", "This is not the name of a header.")
        elif name.lower() in _OWN_HEADERS:
            faults.note(field, "not_allowed", f"{name} is set by the client itself.")
        elif name.lower() in _CREDENTIAL_HEADERS:
            faults.note(field, "not_allowed", "Give credentials by auth with a secret.")
        elif not isinstance(text, str) or _CONTROL.search(text):
            faults.note(field, "invalid", "A header's value is text without line breaks.")
        else:
            kept[name] = text
    return kept


def _query(value: Any, faults: _Faults) -> dict[str, Any]:
    kept = _mapping(value, "query", faults)
    for name, item in kept.items():
        items = item if isinstance(item, list) else [item]
        if any(isinstance(one, dict | list) for one in items):
            faults.note(f"query.{name}", "invalid", "This is text, a number or a list of them.")
    return kept


def _mapping(value: Any, field: str, faults: _Faults) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.note(field, "invalid", f"{field} must be an object.")
        return {}
    return dict(value)


def _body_type(value: Any, faults: _Faults) -> str:
    if value is None:
        return "json"
    if value not in BODY_TYPES:
        faults.note("body_type", "invalid_choice", f"body_type is one of {', '.join(BODY_TYPES)}.")
        return "json"
    return str(value)


def _auth(value: Any, faults: _Faults) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or str(value.get("type")) not in AUTH_KEYS:
        faults.note("auth.type", "invalid_choice", f"type is one of {', '.join(AUTH_KEYS)}.")
        return None
    needed, optional = AUTH_KEYS[value["type"]]
    for name in value:
        if name not in ("type", *needed, *optional):
            faults.note(f"auth.{name}", "unknown_field", "Unknown field.")
    for name in needed:
        if value.get(name) in (None, ""):
            faults.note(f"auth.{name}", "required", "This is required.")
    for name, text in value.items():
        if text is not None and (not isinstance(text, str) or _CONTROL.search(text)):
            faults.note(f"auth.{name}", "invalid", "This is a line of text.")
    if value["type"] == "header" and isinstance(value.get("name"), str):
        name = value["name"]
        if not _TOKEN.match(name) or name.lower() in _OWN_HEADERS:
            faults.note("auth.name", "invalid", "This cannot be the name of a header.")
    return dict(value)


def _hosts(value: Any, faults: _Faults) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(i, str) and i.strip() for i in value):
        faults.note("allowed_hosts", "invalid", "allowed_hosts is a list of host names.")
        return []
    for number, host in enumerate(value):
        if "/" in host or "@" in host or re.search(r"\s", host):
            faults.note(f"allowed_hosts.{number}", "invalid", "Write host, host:port or *.domain.")
    return list(value)


def _idempotency_header(value: Any, faults: _Faults) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _TOKEN.match(value) or value.lower() in _OWN_HEADERS:
        faults.note("idempotency_header", "invalid", "This cannot be the name of a header.")
        return None
    return value


_KEYS: dict[str, Callable[[Any, _Faults], Any]] = {
    "method": _method,
    "url": _url,
    "headers": _headers,
    "query": _query,
    "body": lambda value, faults: value,
    "body_type": _body_type,
    "auth": _auth,
    "allowed_hosts": _hosts,
    "idempotency_header": _idempotency_header,
}


def _check_together(config: dict[str, Any], faults: _Faults) -> None:
    host, port = host_of(config["url"])
    hosts = config["allowed_hosts"]
    if hosts and not any(addresses.host_matches(host, port, pattern) for pattern in hosts):
        faults.note("allowed_hosts", "invalid", f"allowed_hosts does not name {host}.")
    body, body_type = config["body"], config["body_type"]
    if body is not None and config["method"] in BODILESS:
        faults.note("body", "invalid", f"{config['method']} takes no body.")
    elif body is not None and body_type == "raw" and not isinstance(body, str):
        faults.note("body", "invalid", "A raw body is text.")
    elif body is not None and body_type == "form" and not isinstance(body, dict):
        faults.note("body", "invalid", "A form body is an object.")

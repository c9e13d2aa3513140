"""From config and arguments to the request that is sent."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tools.calls import SecretValue, ToolError
from tools.http import template
from tools.http.template import ABSENT, as_text, invalid

_TO_QUERY = ("GET", "HEAD", "OPTIONS", "DELETE")
_SEGMENT_TRICKS = (".", "..")


@dataclass(slots=True)
class Prepared:
    """A request as it leaves. `hosts`: where it and its redirects may go. `hidden`: texts that
    stand for a secret in it, besides the secret itself."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None
    hosts: tuple[str, ...]
    hidden: list[str] = field(default_factory=list)


def prepare(
    config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    secret: SecretValue | None = None,
    idempotency: tuple[str, str] | None = None,
) -> Prepared:
    """The request for these arguments. ToolError names the argument that cannot stand where the
    template puts it."""
    try:
        return _prepared(config, arguments, secret, idempotency)
    except UnicodeEncodeError:
        raise ToolError(
            "An argument holds half a character and cannot be sent.", code="invalid_argument"
        ) from None


def _prepared(
    config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    secret: SecretValue | None,
    idempotency: tuple[str, str] | None,
) -> Prepared:
    unused = _unused(config, arguments)
    method = config["method"]
    query = _query(config["query"], arguments)
    headers = _headers(config["headers"], arguments)
    content: bytes | None = None
    if method in _TO_QUERY:
        query += _pairs(unused)
        unused = {}
    if method not in _TO_QUERY or config["body"] is not None:
        content, content_type, left = _body(config, arguments, unused)
        query += _pairs(left)
        if content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
    if idempotency:
        headers[idempotency[0]] = idempotency[1]
    prepared = Prepared(method, "", headers, content, _hosts(config))
    if secret is not None:
        query += _authenticate(config["auth"], secret, prepared)
    prepared.url = _url(config["url"], arguments, query)
    return prepared


def _unused(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    parts = (config["url"], config["query"], config["headers"], config["body"])
    used = {name for part in parts for name in template.names(part)}
    return {name: value for name, value in arguments.items() if name not in used}


def _hosts(config: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(config["allowed_hosts"]) or (urlsplit(config["url"]).hostname or "",)


def _url(text: str, arguments: Mapping[str, Any], query: list[tuple[str, str]]) -> str:
    scheme, rest = text.split("://", 1)
    split_at = min((rest.index(c) for c in "/?" if c in rest), default=len(rest))
    authority, rest = rest[:split_at], rest[split_at:]
    path, _, own_query = rest.partition("?")
    path = "/".join(_segment(part, arguments) for part in path.split("/")) or "/"
    parts = [template.fill(own_query, arguments, _encoded)] if own_query else []
    if query:
        parts.append(urlencode(query, quote_via=quote))
    url = f"{scheme}://{authority}{path}"
    return f"{url}?{'&'.join(parts)}" if parts else url


def _encoded(name: str, value: Any) -> str:
    return quote(as_text(value), safe="")


def _segment(part: str, arguments: Mapping[str, Any]) -> str:
    filled = template.fill(part, arguments, _encoded)
    if filled in _SEGMENT_TRICKS and part != filled:
        # "." and ".." would climb out of the place the template gave the argument.
        name = next(template.names(part))
        raise invalid(name, f"The argument {name} cannot be {filled!r} in a path.")
    return filled


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None or value is ABSENT:
            continue
        pairs += [(name, as_text(item)) for item in (value if isinstance(value, list) else [value])]
    return pairs


def _query(query: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    return _pairs({name: template.value_of(item, arguments) for name, item in query.items()})


def _headers(headers: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, str]:
    filled: dict[str, str] = {}
    for name, text in headers.items():
        value = template.value_of(text, arguments)
        if value is ABSENT or value is None:
            continue
        value = as_text(value)
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            used = next(template.names(text), name)
            raise invalid(used, f"The argument {used} cannot stand in the header {name}.")
        filled[name] = value.strip()
    return filled


def _body(
    config: Mapping[str, Any], arguments: Mapping[str, Any], unused: dict[str, Any]
) -> tuple[bytes | None, str, dict[str, Any]]:
    """(content, content type, arguments that found no place)."""
    given = config["body"]
    if config["body_type"] == "raw":
        if given is None:
            return None, "", unused
        return template.fill(given, arguments).encode(), "text/plain; charset=utf-8", unused
    if given is None:
        body: Any = unused
        if not unused:
            return None, "", {}
    else:
        body = template.value_of(given, arguments)
        if body is ABSENT:
            return None, "", unused
        if isinstance(body, dict):
            # What the template says wins over an argument of the same name.
            body = {**unused, **body}
        elif unused:
            return _json(body), "application/json", unused
    if config["body_type"] == "form":
        return (
            urlencode(_pairs(body), quote_via=quote).encode(),
            "application/x-www-form-urlencoded",
            {},
        )
    return _json(body), "application/json", {}


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _authenticate(
    auth: Mapping[str, Any], secret: SecretValue, prepared: Prepared
) -> list[tuple[str, str]]:
    kind, value = auth["type"], secret.value
    if kind == "query":
        return [(auth["name"], value)]
    if any(ord(c) < 32 or ord(c) == 127 for c in value.strip()):
        raise ToolError(
            f"The secret {secret.name} holds a line break and cannot stand in a header.",
            code="secret_unusable",
        )
    value = value.strip()
    if kind == "basic":
        user = auth.get("username")
        pair = f"{user}:{value}" if user is not None else value
        token = base64.b64encode(pair.encode()).decode()
        prepared.hidden.append(token)
        _set_header(prepared, "Authorization", f"Basic {token}")
    elif kind == "bearer":
        _set_header(prepared, "Authorization", f"Bearer {value}")
    else:
        _set_header(prepared, auth["name"], f"{auth.get('prefix') or ''}{value}")
    return []


def _set_header(prepared: Prepared, name: str, value: str) -> None:
    for other in [n for n in prepared.headers if n.lower() == name.lower()]:
        del prepared.headers[other]
    prepared.headers[name] = value

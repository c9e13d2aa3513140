"""HTTP requests and signed webhooks, through the one guarded way out."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.module_loading import import_string

from controlplane.kit import egress
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from tools.calls import Fate, ToolError
from tools.functions.registry import ToolContext, function

MAX_BYTES = 5 * 1024 * 1024
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_HOSTS = {
    "type": "array",
    "items": {"type": "string", "maxLength": 260},
    "maxItems": 50,
    "description": "Where calls may go: host, host:port or *.domain. All public hosts if empty.",
}
_URL = {"type": "string", "pattern": "^https?://", "maxLength": 4000}
_HEADERS = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 4000}}
# What the guard and the client write by themselves, or what could split one request into two.
_OWN = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "te"))


@function(
    "http_request",
    input_schema={
        "type": "object",
        "properties": {
            "method": {"enum": _METHODS},
            "url": _URL,
            "headers": _HEADERS,
            "query": {"type": "object"},
            "body": {"description": "JSON, or text that is sent as it is."},
        },
        "required": ["url"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}},
        "required": ["status", "headers", "body"],
    },
    options_schema={
        "type": "object",
        "properties": {"allowed_hosts": _HOSTS},
        "additionalProperties": False,
    },
)
async def http_request(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Send one HTTP request to a public address and give {status, headers, body}; JSON is decoded.
    Every status is an answer. A tool of kind http is better where the request is always the
    same."""
    headers, content = _checked(arguments.get("headers") or {}), None
    body = arguments.get("body")
    if body is not None:
        content = body.encode() if isinstance(body, str) else dumps(body)
        if not isinstance(body, str):
            headers.setdefault("content-type", "application/json")
    url = _with_query(arguments["url"], arguments.get("query") or {})
    hosts = context.options.get("allowed_hosts") or None
    answer = await egress.request(
        arguments.get("method", "GET" if body is None else "POST"),
        url,
        timeout=context.timeout_seconds,
        max_bytes=MAX_BYTES,
        allowed_hosts=hosts,
        follow_redirects=True,
        headers=headers,
        content=content,
    )
    return {
        "status": answer.status_code,
        "headers": dict(answer.headers),
        "body": _body_of(answer.content, answer.headers.get("content-type", "")),
    }


@function(
    "webhook_send",
    effect_class="idempotent",
    input_schema={
        "type": "object",
        "properties": {
            "url": _URL,
            "type": {"type": "string", "maxLength": 200},
            "data": {"type": "object"},
        },
        "required": ["type", "data"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {"id": {"type": "string"}, "status": {"type": "integer"}},
        "required": ["id", "status"],
    },
    options_schema={
        "type": "object",
        "properties": {
            "secret": {"type": "string", "description": "Name of the signing secret (whsec_…)."},
            "url": _URL,
        },
        "required": ["secret"],
        "additionalProperties": False,
    },
)
async def webhook_send(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Send a signed webhook (Standard Webhooks) with {type, timestamp, data}. The address is that
    of the options, or the argument `url` where they have none, and must be one that the secret is
    bound to. The same call sent twice has the same id."""
    url = context.options.get("url") or arguments.get("url")
    if not url:
        raise ToolError("Neither the options nor the arguments name a url.", code="input_invalid")
    secret, parts = context.secret(), urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context.check_host(secret, parts.hostname or "", port)
    now = datetime.now(UTC)
    message = {"type": arguments["type"], "timestamp": now.isoformat(), "data": arguments["data"]}
    body, identity = json.dumps(message), f"msg_{context.idempotency_key or uuid7()}"
    try:
        signer = import_string("standardwebhooks.Webhook")(secret.value)
        signature = signer.sign(identity, now, body)
    except ValueError:
        raise ToolError(
            f"The secret {secret.name} is no signing key: whsec_ and base64.",
            code="secret_unusable",
        ) from None
    answer = await egress.request(
        "POST",
        url,
        timeout=context.timeout_seconds,
        max_bytes=MAX_BYTES,
        allowed_hosts=list(secret.allowed_hosts),
        headers={
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        },
        content=body,
    )
    if answer.status_code >= 300:
        fate: Fate = "unknown" if answer.status_code >= 500 else "answered"
        raise ToolError(
            f"{parts.hostname} answered {answer.status_code} to the webhook.",
            code="webhook_refused",
            retryable=answer.status_code >= 500 or answer.status_code in (408, 429),
            fate=fate,
        )
    return {"id": identity, "status": answer.status_code}


def _checked(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _OWN or not name.isascii() or not value.isprintable():
            raise ToolError(f"The header {name} cannot be sent.", code="input_invalid")
    return dict(headers)


def _with_query(url: str, query: dict[str, Any]) -> str:
    if not query:
        return url
    as_url = import_string("httpx2.URL")
    return str(as_url(url).copy_merge_params(query))


def _body_of(content: bytes, content_type: str) -> Any:
    text = content.decode("utf-8", "replace").replace("\x00", "\ufffd")
    if "json" in content_type.lower():
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text

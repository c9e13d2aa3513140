"""Tools that are requests to an HTTP service."""

import time
from collections.abc import Mapping
from typing import Any

from controlplane.kit import egress
from controlplane.kit.egress import EgressError, Redactor, addresses
from tools.calls import Call, Fate, Pool, Result, SecretValue, ToolError
from tools.http import answer, config, request
from tools.http.request import Prepared

MAX_BYTES = 5 * 1024 * 1024
_DEFAULT_KEY_HEADER = "Idempotency-Key"


class Http:
    """Sends the request that config and arguments make, through the egress guard."""

    def clean(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `tools.http.config.clean`."""
        return config.clean(given)

    def ready(self, version: Any) -> Mapping[str, Any]:
        """The config says everything."""
        return version.config

    def pool(self, given: Mapping[str, Any]) -> Pool:
        """Calls wait on the network."""
        return "io"

    def secret_names(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """The secret of `auth`, if there is one."""
        auth = given.get("auth") or {}
        return (auth["secret"],) if auth.get("secret") else ()

    def secret_host(self, given: Mapping[str, Any]) -> tuple[str, int] | None:
        """The host of the URL."""
        return config.host_of(given["url"])

    def input_schema(
        self, given: Mapping[str, Any], schema: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """As given."""
        return schema

    def effect_class(self, given: Mapping[str, Any], declared: str) -> str:
        """As declared: nobody else knows what a service does."""
        return declared

    def call_blocking(self, call: Call) -> Result:
        """Never asked for: the pool is io."""
        raise ToolError("HTTP tools are awaited.", code="wrong_pool")

    async def call(self, call: Call) -> Result:
        """One request. ToolError with the records of what was sent and answered."""
        given = call.tool.config
        secret = secret_for(call)
        prepared = request.prepare(
            given, call.arguments, secret=secret, idempotency=_idempotency(call)
        )
        values = [secret.value, secret.value.strip(), *prepared.hidden] if secret else []
        redactor = Redactor(values)
        sent = {
            "method": prepared.method,
            "url": redactor.text(prepared.url),
            "headers": answer.recorded_headers(prepared.headers, redactor),
            "body": answer.recorded_body(prepared.content, redactor),
        }
        return await self._sent(call, prepared, sent, redactor)

    async def _sent(
        self, call: Call, prepared: Prepared, sent: dict[str, Any], redactor: Redactor
    ) -> Result:
        started = time.perf_counter()
        try:
            found = await egress.request(
                prepared.method,
                prepared.url,
                timeout=call.timeout_seconds,
                max_bytes=MAX_BYTES,
                allowed_hosts=prepared.hosts,
                follow_redirects=True,
                headers=prepared.headers,
                content=prepared.content,
            )
        except EgressError as exc:
            raise _as_tool_error(exc, sent, redactor) from exc
        latency_ms = round((time.perf_counter() - started) * 1000, 3)
        received = {
            "status": found.status_code,
            "headers": answer.recorded_headers(found.headers, redactor),
            "body": answer.recorded_body(found.content, redactor),
            "bytes": len(found.content),
        }
        call.context.log(
            "info" if found.status_code < 400 else "warning",
            f"{sent['method']} {sent['url'].split('?', 1)[0]} answered {found.status_code} "
            f"in {latency_ms:.0f} ms",
            None,
        )
        try:
            if found.status_code >= 400:
                raise answer.failure(found.status_code, call.tool.name, found.headers)
            output = answer.output_of(found.content, found.headers.get("content-type", ""))
        except ToolError as exc:
            exc.request, exc.response = sent, received
            raise
        return Result(redactor.value(output), sent, received)


def secret_for(call: Call) -> SecretValue | None:
    """The secret of the call, which must be given and be bound to the host of the URL."""
    auth = call.tool.config.get("auth") or {}
    name = auth.get("secret")
    if not name:
        return None
    secret = call.context.secrets.get(name)
    if secret is None:
        raise ToolError(f"This project has no secret named {name}.", code="secret_not_found")
    if problem := host_problem(call.tool.config, secret.name, secret.allowed_hosts):
        raise ToolError(problem, code="secret_host_refused")
    return secret


def host_problem(given: Mapping[str, Any], name: str, allowed_hosts: tuple[str, ...]) -> str:
    """Why a secret bound to these hosts may not go to the host of the URL; empty where it may."""
    host, port = config.host_of(given["url"])
    if any(addresses.host_matches(host, port, pattern) for pattern in allowed_hosts):
        return ""
    bound = ", ".join(allowed_hosts) or "no host"
    return f"The secret {name} is bound to {bound} and may not be sent to {host}."


def _idempotency(call: Call) -> tuple[str, str] | None:
    key, header = call.context.idempotency_key, call.tool.config.get("idempotency_header")
    if not header and call.tool.effect_class == "idempotent":
        header = _DEFAULT_KEY_HEADER
    return (header, key) if header and key else None


def _as_tool_error(exc: EgressError, sent: dict[str, Any], redactor: Redactor) -> ToolError:
    fate: Fate = "not_sent"
    if exc.sent:
        fate = "answered" if exc.code == "response_too_large" else "unknown"
    return ToolError(
        redactor.text(exc.message), code=exc.code, retryable=exc.retryable, fate=fate, request=sent
    )

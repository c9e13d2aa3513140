"""Asking a provider's server what it offers: one real call that costs nothing."""

import time
from typing import Any
from urllib.parse import urlsplit

from django.db import connection as database
from django.utils import timezone

from agents.provider_connection import ProviderConnection
from agents.providers import HOME
from agents.services import called_host
from controlplane.kit import audit, egress
from controlplane.kit.egress import EgressError
from controlplane.kit.errors import DomainError
from projects import vault

TIMEOUT_SECONDS = 15.0
MOST_BYTES = 4 * 1024 * 1024
MOST_MODELS = 200
LONGEST_NAME = 120
Status = ProviderConnection.Status


def check(
    row: ProviderConnection, *, actor: Any, timeout: float = TIMEOUT_SECONDS
) -> ProviderConnection:
    """Ask the server for its models, with the key, and keep what it said: connected (models
    listed), reachable (it answers, but lists none), refused (the key), unreachable, or failed.
    Without an actor it is a probe: no audit row, and the row counts as changed only where its
    status is another."""
    found = probe(row, timeout=timeout)
    rows = ProviderConnection.objects.filter(pk=row.pk)
    # Not for what was changed while the server was asked.
    rows.filter(base_url=row.base_url, secret=row.secret).update(**found)
    if actor is not None or found["status"] != row.status:
        rows.update(updated_at=timezone.now())
    if actor is not None:
        audit.record(
            "providerconnection.checked",
            actor=actor,
            project_id=row.project_id,
            target=row,
            after={"status": found["status"], "detail": found["detail"]},
        )
    row.refresh_from_db()
    return row


def probe(row: ProviderConnection, *, timeout: float = TIMEOUT_SECONDS) -> dict[str, Any]:
    """The columns of a check: {status, detail, models_found, latency_ms, checked_at}."""
    began = time.perf_counter()
    status, detail, names = _asked(row, timeout)
    return {
        "status": status,
        "detail": detail[:500],
        "models_found": names,
        "latency_ms": round((time.perf_counter() - began) * 1000, 3),
        "checked_at": timezone.now(),
    }


def _asked(row: ProviderConnection, timeout: float) -> tuple[str, str, list[str]]:
    base = row.base_url or HOME[row.provider] or ""
    try:
        headers, hosts = _headers(row)
    except DomainError as exc:
        return Status.FAILED, exc.message, []
    path = "/v1/models?limit=200" if row.provider == "anthropic" else "/models"
    if not database.in_atomic_block:
        # No connection is held while the other side works.
        database.close()
    try:
        answer = egress.request_blocking(
            "GET",
            base + path,
            timeout=timeout,
            max_bytes=MOST_BYTES,
            allowed_hosts=hosts,
            headers=headers,
        )
    except EgressError as exc:
        return Status.UNREACHABLE, str(exc), []
    return _read(answer, urlsplit(base).netloc, bool(row.secret))


def _headers(row: ProviderConnection) -> tuple[dict[str, str], list[str] | None]:
    headers = {"accept": "application/json"}
    if row.provider == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    called = called_host(row.server())
    if not row.secret or called is None:
        return headers, None
    secret = vault.named(row.project_id, row.secret)
    key = vault.reveal_for(secret, *called)
    if row.provider == "anthropic":
        headers["x-api-key"] = key
    headers["authorization"] = f"Bearer {key}"
    return headers, list(secret.allowed_hosts)


def _read(answer: Any, host: str, has_key: bool) -> tuple[str, str, list[str]]:
    code = answer.status_code
    if code in (401, 403):
        what = "refused the key" if has_key else "asks for a key"
        return Status.REFUSED, f"{host} answered {code}: it {what}.", []
    if code in (404, 405, 501):
        words = f"{host} answers, but has no list of models ({code}); a call will show the rest."
        return Status.REACHABLE, words, []
    if code >= 300:
        return Status.FAILED, f"{host} answered {code} when it was asked for its models.", []
    try:
        listed = answer.json()["data"]
        names = [str(each["id"])[:LONGEST_NAME] for each in listed]
    except (ValueError, TypeError, KeyError):
        return Status.FAILED, f"{host} answered {code} with something that lists no models.", []
    count = len(names)
    words = f"{host} lists {count} model{'' if count == 1 else 's'}."
    return Status.CONNECTED, words, sorted(set(names))[:MOST_MODELS]

"""Reading from a PostgreSQL database that a secret names."""

import base64
import re
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from controlplane.kit.egress import EgressError, Redactor, addresses, resolution
from controlplane.kit.json import dumps
from tools.calls import ToolError
from tools.functions.registry import ToolContext, function

MOST_ROWS = 10_000
MOST_BYTES = 2 * 1024 * 1024
_CONNECT_SECONDS = 10
# What a connection may say; everything else (files, services, other hosts) is not ours to follow.
_KNOWN = frozenset(("host", "port", "user", "password", "dbname", "sslmode", "connect_timeout"))
_READS = re.compile(
    r"(?:\s|\(|--[^\n]*(?:\n|\Z)|/\*(?:(?!\*/).)*\*/)*(select|with|values|table|explain)\b",
    re.I | re.S,
)


@function(
    "sql_read",
    effect_class="read",
    stakes="read",
    input_schema={
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": 20_000},
            "parameters": {
                "anyOf": [{"type": "array", "maxItems": 100}, {"type": "object"}],
                "description": "For %s, or by name for %(name)s; then write %% for a percent sign.",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "object"}},
            "row_count": {"type": "integer"},
            "truncated": {"type": "boolean"},
        },
        "required": ["columns", "rows", "row_count", "truncated"],
    },
    options_schema={
        "type": "object",
        "properties": {
            "secret": {
                "type": "string",
                "description": "Name of the secret that holds postgresql://user:password@host/db.",
            },
            "max_rows": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
        },
        "required": ["secret"],
        "additionalProperties": False,
    },
)
def sql_read(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Read rows from a PostgreSQL database by one SELECT, in a transaction that cannot write, with
    a time limit. Gives {columns, rows, row_count, truncated}; rows beyond the cap are left out."""
    if not _READS.match(arguments["query"]):
        raise ToolError(
            "Only SELECT, WITH, VALUES, TABLE and EXPLAIN are run.", code="query_refused"
        )
    secret = context.secret()
    parts = _parts(secret.value, secret.name)
    host, port = parts["host"], int(parts.get("port") or 5432)
    context.check_host(secret, host, port)
    redactor = Redactor([parts["password"]] if parts.get("password") else [])
    until = time.monotonic() + context.timeout_seconds
    try:
        with _connected(parts, host, port, context) as conn:
            return _read(conn, arguments, context, until)
    except psycopg.errors.QueryCanceled:
        raise ToolError(
            f"The query did not finish within {context.timeout_seconds:g} s.",
            code="timeout",
            retryable=True,
            fate="answered",
        ) from None
    except psycopg.Error as exc:
        said = redactor.text(str(exc).split("\n")[0])[:500]
        code = "query_failed" if exc.sqlstate else "unreachable"
        raise ToolError(
            f"{host}: {said}", code=code, retryable=exc.sqlstate is None, fate="answered"
        ) from None


def _parts(value: str, name: str) -> dict[str, str]:
    try:
        parts = {key: str(part) for key, part in conninfo_to_dict(value).items() if part}
    except psycopg.Error:
        raise ToolError(
            f"The secret {name} is no connection: postgresql://user:password@host/database.",
            code="secret_unusable",
        ) from None
    if unknown := sorted(parts.keys() - _KNOWN):
        raise ToolError(
            f"The secret {name} says {unknown[0]}, which is not taken.", code="secret_unusable"
        )
    host = parts.get("host", "")
    if not host or "," in host or host.startswith(("/", "@")):
        raise ToolError(
            f"The secret {name} must name one host that is reached by network.",
            code="secret_unusable",
        )
    return parts


def _connected(
    parts: Mapping[str, str], host: str, port: int, context: ToolContext
) -> psycopg.Connection[dict[str, Any]]:
    allow = addresses.permits(tuple(settings.SPARKOPS_EGRESS_ALLOW))
    seconds = min(_CONNECT_SECONDS, context.timeout_seconds)
    try:
        found = resolution.resolve_blocking(host, port, allow=allow, timeout=seconds)
    except EgressError as exc:
        raise ToolError(exc.message, code=exc.code, retryable=exc.retryable) from None
    # Connected to the checked address; the name stays for TLS.
    given = {
        **parts,
        "hostaddr": found[0],
        "port": port,
        "connect_timeout": max(2, round(seconds)),
        "application_name": "spark-ops",
        "options": "-c default_transaction_read_only=on "
        f"-c statement_timeout={max(1, round(context.timeout_seconds * 1000))}",
    }
    conn = psycopg.connect(make_conninfo("", **given), row_factory=dict_row)
    conn.read_only = True
    return conn


def _read(
    conn: psycopg.Connection[dict[str, Any]],
    arguments: dict[str, Any],
    context: ToolContext,
    until: float,
) -> dict[str, Any]:
    most = context.options.get("max_rows", 1_000)
    rows: list[dict[str, Any]] = []
    size, is_cut = 0, False
    with conn.cursor() as cursor:
        # Row by row, and as one prepared statement: two cannot hide in one text.
        for row in cursor.stream(arguments["query"], arguments.get("parameters") or None):
            if context.is_cancelled():
                raise ToolError("The call was cancelled.", code="cancelled", fate="answered")
            if time.monotonic() > until:
                raise psycopg.errors.QueryCanceled
            shown = {name: _as_json(value) for name, value in row.items()}
            size += len(dumps(shown))
            if len(rows) >= most or size > MOST_BYTES:
                is_cut = True
                break
            rows.append(shown)
        columns = [column.name for column in cursor.description or ()]
    conn.rollback()
    return {"columns": columns, "rows": rows, "row_count": len(rows), "truncated": is_cut}


def _as_json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Decimal | UUID | timedelta):
        return str(value)
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_as_json(item) for item in value]
    return str(value)

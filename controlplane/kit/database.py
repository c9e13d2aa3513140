"""The database as plain psycopg sees it, for code that does not use the ORM."""

from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from psycopg.types.json import JsonbLoader

PREPARE_AFTER = 5


def query(statement: str, params: Any) -> list[tuple[Any, ...]]:
    """Rows of one hot statement on Django's connection, as a prepared statement, which Django's own
    cursors never are: for these, planning costs more than the work. Takes part in the running
    transaction; errors are Django's."""
    connection.ensure_connection()
    raw = connection.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = PREPARE_AFTER
    with connection.wrap_database_errors, cursor_of(raw) as cursor:
        return cursor.execute(statement, params).fetchall()


def cursor_of(conn: psycopg.Connection[Any], row_factory: Any = tuple_row) -> psycopg.Cursor[Any]:
    """A plain server-side-binding cursor that reads jsonb as JSON, also on Django's connection
    (which leaves it as text and binds on the client)."""
    cursor = psycopg.Cursor(conn, row_factory=row_factory)
    cursor.adapters.register_loader("jsonb", JsonbLoader)
    return cursor


# For connections that run nothing but the engine's statements: every join there goes by key,
# whatever the planner thinks of tables it has not counted yet, and a plan is made once.
BY_KEY = (
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off"
    " -c enable_mergejoin=off -c jit=off"
)


def conninfo(*, by_key: bool = False) -> str:
    """A libpq connection string of the default database; `by_key` for the engine's statements."""
    database = settings.DATABASES["default"]
    options = {k: v for k, v in database.get("OPTIONS", {}).items() if k != "pool"}
    parts = {
        "dbname": database["NAME"],
        "user": database.get("USER"),
        "password": database.get("PASSWORD"),
        "host": database.get("HOST"),
        "port": database.get("PORT"),
        **options,
    }
    if by_key:
        parts["options"] = f"{parts.get('options', '')} {BY_KEY}".strip()
    return make_conninfo("", **{k: v for k, v in parts.items() if v not in (None, "")})

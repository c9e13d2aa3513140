"""The database as plain psycopg sees it, for code that does not use the ORM."""

from django.conf import settings
from psycopg.conninfo import make_conninfo


def conninfo() -> str:
    """A libpq connection string of the default database."""
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
    return make_conninfo("", **{k: v for k, v in parts.items() if v not in (None, "")})

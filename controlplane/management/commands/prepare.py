"""`manage.py prepare`: brings the database to this code; run before a start."""

from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.utils import OperationalError

OLDEST_POSTGRES = 150_000
MIGRATION_LOCK = 7_310_021  # any constant of our own, the same in every release


def reach_database() -> None:
    """Connect once, past Django's pool, whose own message says only that it waited."""
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    parameters.pop("prepare_threshold", None)
    parameters.pop("pool", None)
    parameters.setdefault("connect_timeout", 5)
    try:
        with psycopg.connect(**parameters) as opened:
            version = opened.info.server_version
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise CommandError(
            f"The database cannot be reached, check DATABASE_URL: {reason}"
        ) from None
    if version < OLDEST_POSTGRES:
        raise CommandError(
            f"The database is PostgreSQL {version // 10_000}; Spark-Ops needs 15 or newer."
        )


def reach_redis() -> None:
    """Ping Redis once."""
    try:
        redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise CommandError(f"Redis cannot be reached, check REDIS_URL: {error}") from None


def migrate(verbosity: int) -> None:
    """Apply migrations, one process at a time however many hosts start at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            call_command("migrate", interactive=False, verbosity=verbosity)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


class Command(BaseCommand):
    """Check the servers, migrate, seed the demo once."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`--demo` asks for the demo project."""
        parser.add_argument("--demo", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Each failure is one sentence on the last line."""
        reach_database()
        reach_redis()
        try:
            migrate(options["verbosity"])
        except (DatabaseError, OperationalError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CommandError(f"The database could not be brought up to date: {reason}") from error
        if options["demo"] and "seed_demo" in get_commands():
            call_command("seed_demo")

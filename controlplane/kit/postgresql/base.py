"""Django's PostgreSQL backend, with a cheaper look at pooled connections."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool


def look(conn: psycopg.Connection[Any]) -> None:
    """Refuse a pooled connection that its server has closed: its socket then has something to
    read. Asking the server instead, as the pool does, costs each request a round trip (0.9 ms of
    8.5 when measured). Raises OperationalError for a dead connection."""
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        # A dead server, or a notice that came late: now it is worth asking.
        ConnectionPool.check_connection(conn)


class DatabaseWrapper(base.DatabaseWrapper):
    """What Django loads for ENGINE."""

    @property
    def pool(self) -> Any:
        """The pool of this process, looking before it lends. Django has no setting for how."""
        pool = super().pool
        if pool is not None:
            pool._check = look
        return pool

"""Work that takes long: one thread in each worker process, beside the steps of runs.

An actor carries an id only; the row with that id is the truth. Whoever works on it holds a lock of
PostgreSQL on the connection it writes by: when either dies the other is gone with it, and the
ticker rings for a row that nobody works on.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import dramatiq
from django.db import connection

from controlplane.kit.queue import DoorbellBroker, ring

# The one broker of the house: whoever declares an actor imports this module first.
broker = DoorbellBroker()
dramatiq.set_broker(broker)

QUEUE = "background"
# Set when the process is to end: long work stops between two of its parts and goes on elsewhere.
stopping = threading.Event()


def start() -> dramatiq.Worker:
    """Begin to take doorbells of long work in this process."""
    broker.declare_queue(QUEUE)
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_threads=1, worker_timeout=1_000)
    worker.start()
    return worker


def wake(actor_name: str, row_id: UUID) -> None:
    """Ring for a row; call it on commit."""
    ring(actor_name, QUEUE, str(row_id))


@contextmanager
def alone(row_id: UUID) -> Iterator[bool]:
    """Whether nobody else works on a row; nobody else will while the block lasts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [str(row_id)])
        is_mine = cursor.fetchone()[0]
    try:
        yield is_mine
    finally:
        # A connection that is broken has given its locks back by itself.
        if is_mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [str(row_id)])

"""Doorbells: a Dramatiq broker whose messages only wake somebody (docs/decisions/0003).

A doorbell needs neither acknowledgement, delay nor redelivery: the row is the truth. So the
consumer blocks on a Redis list, which wakes it within a fraction of a millisecond.
"""

import logging
from collections.abc import Iterable
from typing import Any

import dramatiq
import redis
from django.conf import settings
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed, QueueNotFound
from dramatiq.middleware import CurrentMessage, ShutdownNotifications

from controlplane.kit.doorbell import bell, connection

logger = logging.getLogger(__name__)
KEY = "sparkops:bell:"
LONGEST_LIST = 1_000


class DoorbellConsumer(Consumer):
    """Blocks on one Redis list; a message taken is a message done."""

    def __init__(self, queue_name: str, timeout: int) -> None:
        self.key = KEY + queue_name
        self.timeout = max(timeout / 1000, 0.05)
        self.client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None)

    def __next__(self) -> MessageProxy | None:
        """The next doorbell, or None after the idle time."""
        try:
            taken: Any = self.client.blpop([self.key], timeout=self.timeout)
        except redis.RedisError as exc:
            raise ConnectionClosed(exc) from None
        return MessageProxy(dramatiq.Message.decode(taken[1])) if taken else None

    def ack(self, message: MessageProxy) -> None:
        """Nothing to do: the pop was the acknowledgement."""

    def nack(self, message: MessageProxy) -> None:
        """Nothing to do: the sweeper rings again for work that is still waiting."""

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Hand doorbells that were not answered to another worker."""
        for message in messages:
            self.client.rpush(self.key, message.encode())

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


class DoorbellBroker(dramatiq.Broker):
    """Carries doorbells over Redis lists."""

    def __init__(self) -> None:
        # Not AsyncIO: its one loop is overwritten by a second consumer and keeps the process alive.
        super().__init__(middleware=[CurrentMessage(), ShutdownNotifications()])
        self.queues = set()

    def declare_queue(self, queue_name: str) -> None:
        """Remember the queue."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of the queues."""
        return set(self.queues)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> Consumer:
        """A consumer of one queue."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        return DoorbellConsumer(queue_name, timeout)

    def enqueue(self, message: dramatiq.Message, *, delay: int | None = None) -> dramatiq.Message:
        """Push a doorbell; delays are rows, never messages."""
        if delay is not None:
            raise ValueError("A doorbell has no delay: write a wake_at into the row.")
        self.emit_before("enqueue", message, delay)
        pipe = connection().pipeline(transaction=False)
        pipe.rpush(KEY + message.queue_name, message.encode())
        pipe.ltrim(KEY + message.queue_name, -LONGEST_LIST, -1)
        pipe.execute()
        self.emit_after("enqueue", message, delay)
        return message

    def flush(self, queue_name: str) -> None:
        """Forget the doorbells of a queue."""
        connection().delete(KEY + queue_name)

    def flush_all(self) -> None:
        """Forget all doorbells."""
        for queue_name in self.queues:
            self.flush(queue_name)


def ring(actor_name: str, queue_name: str, *args: object, times: int = 1) -> None:
    """Wake a worker of a queue, best effort: a lost doorbell costs a poll, never work."""
    message = dramatiq.Message(
        queue_name=queue_name,
        actor_name=actor_name,
        args=args,
        kwargs={},
        options={},
        message_timestamp=current_millis(),
    ).encode()
    try:
        bell.send(
            ("RPUSH", KEY + queue_name, *[message] * times),
            ("LTRIM", KEY + queue_name, -LONGEST_LIST, -1),
        )
    except (redis.RedisError, OSError) as exc:
        bell.hang_up()
        logger.warning("doorbell for %s not rung: %s", queue_name, exc)

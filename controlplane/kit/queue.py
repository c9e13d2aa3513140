"""Doorbells: a Dramatiq broker whose messages only wake somebody (docs/decisions/0003).

A doorbell needs neither acknowledgement, delay nor redelivery: the row is the truth. So the
consumer blocks on a Redis list, which wakes it within a fraction of a millisecond.
"""

import logging
import os
import threading
from collections.abc import Iterable
from functools import cache
from typing import Any

import dramatiq
import redis
from django.conf import settings
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed, QueueNotFound
from dramatiq.middleware import AsyncIO, CurrentMessage, ShutdownNotifications
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)
KEY = "sparkops:bell:"
LONGEST_LIST = 1_000


@cache
def connection() -> redis.Redis:
    """The process's pooled Redis client; blocking pops set their own time limit."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=2)


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
        super().__init__(middleware=[AsyncIO(), CurrentMessage(), ShutdownNotifications()])
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


class Bell:
    """One connection that only rings: Redis is told not to answer, so ringing waits for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: tuple[int, Any] | None = None

    def send(self, *commands: tuple[Any, ...]) -> None:
        """Send the commands, best effort; the line is opened anew where it was lost."""
        with self._lock:
            line = self._opened()
            line.send_packed_command(line.pack_commands(commands), check_health=False)

    def _opened(self) -> Any:
        """The process's own line: one from before a fork belongs to the parent."""
        if self._line is not None:
            pid, line = self._line
            # An answer never comes, so what can be read is the end of the line.
            if pid == os.getpid() and line.is_connected and not line.can_read(0):
                return line
            if pid == os.getpid():
                line.disconnect()
            self._line = None
        pool = connection().connection_pool
        options = {"socket_timeout": 1, "retry": Retry(NoBackoff(), 0)}
        line = pool.connection_class(**{**pool.connection_kwargs, **options})
        line.connect()
        line.send_command("CLIENT", "REPLY", "OFF")
        self._line = (os.getpid(), line)
        return line

    def hang_up(self) -> None:
        """Close the line after an error; the next ring opens another."""
        with self._lock:
            if self._line is not None:
                self._line[1].disconnect()
                self._line = None


_bell = Bell()


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
        _bell.send(
            ("RPUSH", KEY + queue_name, *[message] * times),
            ("LTRIM", KEY + queue_name, -LONGEST_LIST, -1),
        )
    except (redis.RedisError, OSError) as exc:
        _bell.hang_up()
        logger.warning("doorbell for %s not rung: %s", queue_name, exc)

"""The line doorbells go over: to Redis, without waiting for an answer."""

import os
import threading
from collections.abc import Iterable
from functools import cache
from typing import Any

import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


@cache
def connection() -> redis.Redis:
    """The process's pooled Redis client; blocking pops set their own time limit."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=2)


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
            if pid == os.getpid() and not _is_lost(line):
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


def _is_lost(line: Any) -> bool:
    """An answer never comes, so what can be read is the end of the line."""
    try:
        return not line.is_connected or line.can_read(0)
    except (redis.RedisError, OSError):
        return True


bell = Bell()


class DoorbellLayer(RedisPubSubChannelLayer):
    """The channel layer, with a bell for code that runs in no event loop."""

    def ring(self, groups: Iterable[str]) -> None:
        """Tell every subscriber of these groups that there is something new: what `group_send`
        would publish, but without a loop or an answer. Raises redis.RedisError or OSError."""
        message = self.serialize({"type": "bell"})
        prefix = self._kwargs["prefix"]
        bell.send(*(("PUBLISH", f"{prefix}__group__{group}", message) for group in groups))

    def whisper(self, texts: Iterable[tuple[str, str]]) -> None:
        """Tell the subscribers of groups something that stands nowhere else: (group, text). Raises
        as `ring` does."""
        prefix = self._kwargs["prefix"]
        told = [
            (f"{prefix}__group__{group}", self.serialize({"type": "whisper", "text": text}))
            for group, text in texts
        ]
        bell.send(*(("PUBLISH", channel, message) for channel, message in told))

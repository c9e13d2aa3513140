"""Events: rows are the truth; `announce` only tells the readers that there is something new."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import redis
from channels.layers import get_channel_layer
from django.db import connection, transaction

from controlplane.kit.doorbell import bell
from controlplane.kit.json import dumps
from controlplane.kit.loop import background_loop

logger = logging.getLogger(__name__)
ACTIVITY_PREFIXES = ("run.", "approval.", "agent.", "instance.")


def subject_group(subject_id: UUID | str) -> str:
    """The channel group of one run or agent."""
    return f"subject.{subject_id}"


def activity_group(project_id: UUID | str) -> str:
    """The channel group of a project's activity."""
    return f"activity.{project_id}"


def is_activity(event_type: str) -> bool:
    """Whether the project's activity feed carries this type."""
    return event_type.startswith(ACTIVITY_PREFIXES)


class Announcer:
    """Gathers doorbells of one process: urgent ones ring at once, others within 50 ms, together.

    A busy worker commits hundreds of times a second; its readers need not be told of each.
    """

    SOON_SECONDS = 0.05

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._is_scheduled = False

    def add(self, groups: Iterable[str], *, is_urgent: bool) -> None:
        """Ring these groups, without waiting for an answer."""
        with self._lock:
            self._waiting.update(groups)
            if not self._waiting or (self._is_scheduled and not is_urgent):
                return
            self._is_scheduled = True
        if is_urgent:
            self._flush()
        else:
            loop = background_loop()
            loop.call_soon_threadsafe(loop.call_later, self.SOON_SECONDS, self._flush)

    def _flush(self) -> None:
        with self._lock:
            groups, self._waiting = self._waiting, set()
            self._is_scheduled = False
        if not groups:
            return
        try:
            get_channel_layer().ring(groups)
        except (redis.RedisError, OSError) as exc:  # Readers poll every 2 s: nothing is lost.
            bell.hang_up()
            logger.warning("live doorbell not rung: %s", exc)


_announcer = Announcer()


def announce(groups: Iterable[str], *, is_urgent: bool = True) -> None:
    """Ring the live doorbell of groups, best effort and without waiting. Call after commit."""
    _announcer.add(groups, is_urgent=is_urgent)


def whisper(messages: Iterable[tuple[UUID, Mapping[str, Any]]]) -> None:
    """Tell the sockets of subjects what is no event: it has no seq, is kept nowhere, and is lost
    where nobody listens or the line is down. (subject, message) each."""
    texts = [(subject_group(subject), dumps(message).decode()) for subject, message in messages]
    try:
        get_channel_layer().whisper(texts)
    except (redis.RedisError, OSError) as exc:
        bell.hang_up()
        logger.warning("live words not told: %s", exc)


def append(
    subject_id: UUID, project_id: UUID, event_type: str, data: Mapping[str, Any] | None = None
) -> None:
    """Write one event of a subject that has no counter of its own (an agent, an instance): its
    seq grows with jumps. Inside the verb's transaction; the doorbell rings on commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH n AS MATERIALIZED (SELECT next_activity_seq() AS seq)
            INSERT INTO event (subject_id, seq, project_id, at, type, data, activity_seq)
            SELECT %s, n.seq, %s, clock_timestamp(), %s, %s, n.seq FROM n
            """,
            [subject_id, project_id, event_type, dumps(data or {}).decode()],
        )
    groups = [subject_group(subject_id), activity_group(project_id)]
    transaction.on_commit(lambda: announce(groups))

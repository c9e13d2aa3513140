"""Readers of events: one for each subject and web process, fanning out to its sockets.

A doorbell or 2 s of silence makes a reader look into the table; what is in the table is the truth,
so a lost doorbell delays and never hangs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from controlplane.frames import Message
from controlplane.kit.database import conninfo
from controlplane.kit.events import activity_group, subject_group
from controlplane.kit.json import dumps

logger = logging.getLogger(__name__)
POLL_SECONDS = 2.0
EVENTS_A_READ = 500
WAITING_MESSAGES = 2_000
# What is no event is left out for a socket that has so many messages before it.
WHISPERS_BEFORE = 100
BREATHS, BREATH_SECONDS = 50, 0.01
HELD_BACK_SECONDS = (0.002, 0.005, 0.02, 0.1, 0.5)

SUBJECT_EVENTS = """
SELECT seq, at, type, subject_id, step_id, data, true AS is_visible FROM event
WHERE subject_id = %(key)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s
"""
SUBJECT_LAST = """
SELECT coalesce((SELECT last_seq FROM run WHERE id = %(key)s),
  (SELECT max(seq) FROM event WHERE subject_id = %(key)s), 0) AS seq
"""
# A project's activity has many writers: rows of transactions that are younger than the oldest open
# one are held back, so that nothing ever appears behind the reader's place.
ACTIVITY_EVENTS = """
SELECT activity_seq AS seq, at, type, subject_id, step_id, data,
  activity_seq < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) AS is_visible
FROM event WHERE project_id = %(key)s AND activity_seq > %(after)s
ORDER BY activity_seq LIMIT %(limit)s
"""
ACTIVITY_LAST = """
SELECT coalesce(max(activity_seq), 0) AS seq FROM event
WHERE project_id = %(key)s AND activity_seq IS NOT NULL
  AND activity_seq < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16)
"""

_pools: dict[asyncio.AbstractEventLoop, AsyncConnectionPool] = {}


async def _pool() -> AsyncConnectionPool:
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        pool = AsyncConnectionPool(
            conninfo(by_key=True),
            min_size=0,
            max_size=4,
            open=False,
            kwargs={"autocommit": True, "row_factory": dict_row},
        )
        _pools[loop] = pool
        await pool.open()
    return _pools[loop]


async def query(statement: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of one statement, on a pooled connection."""
    pool = await _pool()
    async with pool.connection() as conn:
        cursor = await conn.execute(statement, params)
        return await cursor.fetchall()


@dataclass(frozen=True)
class Subject:
    """What a socket follows: a run, an agent, or a project's activity."""

    kind: str
    key: UUID

    @property
    def group(self) -> str:
        """Its channel group."""
        return activity_group(self.key) if self.kind == "activity" else subject_group(self.key)

    async def last_seq(self) -> int:
        """The seq of its newest event that can be read."""
        statement = ACTIVITY_LAST if self.kind == "activity" else SUBJECT_LAST
        return (await query(statement, {"key": self.key}))[0]["seq"]

    async def read(self, after: int) -> tuple[list[tuple[int, Message]], bool]:
        """(events as (seq, message), whether some are held back for the moment)."""
        statement = ACTIVITY_EVENTS if self.kind == "activity" else SUBJECT_EVENTS
        params = {"key": self.key, "after": after, "limit": EVENTS_A_READ}
        found = []
        for row in await query(statement, params):
            if not row["is_visible"]:
                return found, True
            found.append((row["seq"], Message(message_text(row))))
        return found, False


def message_text(row: Mapping[str, Any]) -> str:
    """One event as it goes over the socket."""
    kind, subject = row["type"].partition(".")[0], row["subject_id"]
    about = "agent" if kind in ("agent", "instance") else "run"
    # Some events of an approval are its own; the others are those of the run that waits for it.
    if kind == "approval" and row["data"].get("approval") == str(subject):
        about = kind
    return dumps(
        {
            "seq": row["seq"],
            "at": row["at"],
            "type": row["type"],
            about: subject,
            "step": row["step_id"],
            "data": row["data"],
        }
    ).decode()


@dataclass(eq=False)
class Listener:
    """One socket's place: what it has been given, and what waits to be sent."""

    seq: int
    waiting: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(WAITING_MESSAGES))
    is_slow: bool = False
    # Whether it asked for what is no event: the words of a model while they are written.
    hears_whispers: bool = False

    def overhear(self, message: Message) -> None:
        """Queue what is no event, if that crowds out nothing; it moves no place."""
        if self.hears_whispers and not self.is_slow and self.waiting.qsize() < WHISPERS_BEFORE:
            self.waiting.put_nowait(message)

    def give(self, seq: int, message: Message) -> None:
        """Queue a message; a socket that cannot keep up is marked and closed by its consumer."""
        if seq <= self.seq or self.is_slow:
            return
        self.seq = seq
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.is_slow = True


class Reader:
    """Reads one subject for all its sockets in this process."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.seq = 0
        self.listeners: set[Listener] = set()
        # Those that have joined and those that are about to.
        self.users = 0
        self._bell = asyncio.Event()
        self._channel = ""
        self._start: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def started(self) -> None:
        """Wait until it follows; the first that asks starts it."""
        if self._start is None:
            self._start = asyncio.create_task(self._begin())
        await asyncio.shield(self._start)

    async def _begin(self) -> None:
        """Take the place at the end of the stream and begin to follow."""
        layer = get_channel_layer()
        try:
            self._channel = await layer.new_channel()
            await layer.group_add(self.subject.group, self._channel)
        except Exception as exc:  # Redis away: the poll follows too.
            logger.warning("live doorbell not reached: %s", exc)
        self.seq = await self.subject.last_seq()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._follow())]

    async def stop(self) -> None:
        """End the tasks and leave the group."""
        for task in (self._start, *self._tasks):
            if task is not None:
                task.cancel()
        layer = get_channel_layer()
        with contextlib.suppress(Exception):
            await layer.group_discard(self.subject.group, self._channel)

    async def join(self, listener: Listener) -> None:
        """Bring a listener up to this reader's place, then let it follow: no gap, no repeat."""
        while True:
            # No await between the comparison and the addition.
            if listener.seq >= self.seq:
                self.listeners.add(listener)
                self._bell.set()
                return
            events, _ = await self.subject.read(listener.seq)
            if not events:
                listener.seq = max(listener.seq, self.seq)
                continue
            for seq, message in events:
                if listener.waiting.full():
                    await _room(listener)
                listener.give(seq, message)

    async def _listen(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                if not self._channel:
                    self._channel = await layer.new_channel()
                    await layer.group_add(self.subject.group, self._channel)
                message = await layer.receive(self._channel)
                if message["type"] == "whisper":
                    words = Message(message["text"])
                    for listener in self.listeners:
                        listener.overhear(words)
                    continue
            except Exception as exc:  # Redis away: the poll goes on, the layer reconnects.
                logger.warning("live doorbell unheard: %s", exc)
                await asyncio.sleep(0.5)
            self._bell.set()

    async def _follow(self) -> None:
        held = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_BACK_SECONDS[held - 1] if held else POLL_SECONDS):
                    await self._bell.wait()
            self._bell.clear()
            try:
                is_held = await self._read_all()
            except Exception as exc:
                logger.warning("events of %s not read: %s", self.subject.key, exc)
                await asyncio.sleep(0.5)
                continue
            held = min(held + 1, len(HELD_BACK_SECONDS)) if is_held else 0

    async def _read_all(self) -> bool:
        while True:
            events, is_held = await self.subject.read(self.seq)
            for seq, message in events:
                self.seq = seq
                for listener in self.listeners:
                    listener.give(seq, message)
            if len(events) < EVENTS_A_READ:
                return is_held
            await self._breathe()

    async def _breathe(self) -> None:
        """After a full page, let the sockets send what they have, for a moment: a flood must not
        make slow readers of good ones, nor one slow reader hold up the others."""
        for _ in range(BREATHS):
            if not any(
                listener.waiting.qsize() > WAITING_MESSAGES // 2 and not listener.is_slow
                for listener in self.listeners
            ):
                return
            await asyncio.sleep(BREATH_SECONDS)


async def _room(listener: Listener) -> None:
    while listener.waiting.full():
        await asyncio.sleep(0.01)


_readers: dict[tuple[asyncio.AbstractEventLoop, Subject], Reader] = {}


async def follow(subject: Subject, listener: Listener) -> Reader:
    """Join the subject's reader in this process, starting it for its first listener."""
    key = (asyncio.get_running_loop(), subject)
    # Counted before anything is awaited: whoever leaves meanwhile must not end it.
    reader = _readers.setdefault(key, Reader(subject))
    reader.users += 1
    try:
        await reader.started()
        await reader.join(listener)
    except BaseException:
        await leave(reader, listener)
        raise
    return reader


async def leave(reader: Reader, listener: Listener) -> None:
    """Leave; the last one ends the reader."""
    reader.listeners.discard(listener)
    reader.users -= 1
    if reader.users == 0:
        key = (asyncio.get_running_loop(), reader.subject)
        if _readers.get(key) is reader:
            del _readers[key]
        await reader.stop()

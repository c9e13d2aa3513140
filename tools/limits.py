"""Rate limits of tools, held across all workers: PostgreSQL gives each call its place in time.

A tool with a limit has one row that is locked for the moment in which a place is given; tools
without one cost nothing. Nobody waits here: a caller learns when its place is, and waits as it can.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from controlplane.kit.database import cursor_of
from controlplane.kit.json import dumps
from tools.calls import ToolCallable, ToolError
from tools.slots import add, lateness, place

# The clock is read when the row is ours: waiting for it must not make a place older.
_LOCK = """
INSERT INTO tool_slots (tool_id, taken) VALUES (%s, '[]')
ON CONFLICT (tool_id) DO UPDATE SET tool_id = EXCLUDED.tool_id
RETURNING taken, extract(epoch FROM clock_timestamp())::float8
"""
_KEEP = "UPDATE tool_slots SET taken = %s::jsonb WHERE tool_id = %s"


@dataclass(frozen=True, slots=True)
class Place:
    """When a call may begin, and until when at the latest; both on this process's monotonic clock.
    `at` is the same moment on the database's clock."""

    begins: float
    ends: float
    at: datetime

    @property
    def seconds(self) -> float:
        """Until the call may begin; zero where it may now."""
        return max(0.0, self.begins - time.monotonic())

    @property
    def is_lost(self) -> bool:
        """Whether it is too late for this place."""
        return time.monotonic() > self.ends


def take(tool: ToolCallable, *, within_seconds: float | None = None) -> Place:
    """A place in time for one call of a tool that has a limit. ToolError `rate_limited`, and no
    place taken, where there is none now and the tool refuses such calls, or where the first free
    one is further away than `within_seconds`."""
    limit: Mapping[str, Any] = tool.rate_limit or {}
    numbers = {"limit": limit["limit"], "per_seconds": limit["per_seconds"]}
    asked = time.monotonic()
    with transaction.atomic():
        with cursor_of(connection.connection) as cursor:
            runs, now = cursor.execute(_LOCK, [tool.tool_id]).fetchone() or ([], 0.0)
            at = place(runs, now, **numbers)
            refuses = at > now and limit.get("when_limited") == "refuse"
            if refuses or (within_seconds is not None and at - now > within_seconds):
                raise refused(tool, at - now)
            taken = dumps(add(runs, at, **numbers)).decode()
            cursor.execute(_KEEP, [taken, tool.tool_id])
    # The database read its clock between the question and the answer.
    return Place(
        begins=time.monotonic() + (at - now),
        ends=asked + (at - now) + lateness(numbers["per_seconds"]),
        at=datetime.fromtimestamp(at, UTC),
    )


def refused(tool: ToolCallable, seconds: float) -> ToolError:
    """The failure of a call beyond the limit."""
    limit = tool.rate_limit or {}
    return ToolError(
        f"{tool.name} is limited to {limit.get('limit')} calls in {limit.get('per_seconds'):g} s; "
        f"there is room again in {seconds:.1f} s.",
        code="rate_limited",
        retryable=True,
        retry_after_seconds=seconds,
    )


def take_released(tool: ToolCallable, within_seconds: float | None = None) -> Place:
    """`take` in a thread that gives its connection back at once."""
    try:
        return take(tool, within_seconds=within_seconds)
    finally:
        connection.close()


async def wait(tool: ToolCallable, *, within_seconds: float) -> Place | None:
    """Sleep until the call may begin; holds no thread. None, at once, for a tool without a limit.
    ToolError `rate_limited` where that is further away than `within_seconds`."""
    until = time.monotonic() + within_seconds
    while tool.rate_limit:
        place = await asyncio.to_thread(take_released, tool, until - time.monotonic())
        await asyncio.sleep(place.seconds)
        if not place.is_lost:
            return place
    return None


def wait_blocking(tool: ToolCallable, *, within_seconds: float) -> Place | None:
    """`wait` for a thread that waits anyway, on its own connection."""
    until = time.monotonic() + within_seconds
    while tool.rate_limit:
        place = take(tool, within_seconds=until - time.monotonic())
        if place.seconds and not connection.in_atomic_block:
            connection.close()
        time.sleep(place.seconds)
        if not place.is_lost:
            return place
    return None


def kept(tool: ToolCallable, at: datetime) -> Place:
    """A place that was given earlier and kept by its moment, as this process sees it now."""
    try:
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (now,) = cursor.fetchone()
        seconds = at.timestamp() - now
        late = lateness((tool.rate_limit or {}).get("per_seconds", 1))
        return Place(time.monotonic() + seconds, asked + seconds + late, at)
    finally:
        connection.close()

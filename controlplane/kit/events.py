"""Events: rows are the truth; `announce` only tells the readers that there is something new."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import connection, transaction

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


async def _send(groups: list[str]) -> None:
    layer = get_channel_layer()
    try:
        for group in groups:
            await layer.group_send(group, {"type": "bell"})
    except Exception as exc:  # Redis away: readers poll every 2 s, nothing is lost.
        logger.warning("live doorbell not rung: %s", exc)


def announce(groups: list[str]) -> None:
    """Ring the live doorbell of groups, best effort and without waiting. Call after commit."""
    asyncio.run_coroutine_threadsafe(_send(groups), background_loop())


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

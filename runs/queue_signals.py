"""What waits and what is worked on in the queues of deployments: the signal that scales them."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.kit.database import query
from controlplane.kit.queue import ring
from runs.placing import SHARED_QUEUE


@dataclass(frozen=True, slots=True)
class QueueSignal:
    """Steps of one queue: waiting, being worked on, and how long the oldest has waited."""

    queued: int = 0
    running: int = 0
    oldest_seconds: float = 0.0


_QUEUED = """
SELECT s.queue, count(*), extract(epoch FROM clock_timestamp() - min(s.ready_at))
FROM step s JOIN run r ON r.id = s.run_id
WHERE s.status = 'ready' AND s.queue = ANY(%s) AND r.status IN ('queued', 'running', 'waiting')
GROUP BY s.queue
"""
# By the instances, so that the index of leased steps is used.
_RUNNING = """
SELECT s.queue, count(*) FROM instance i JOIN step s ON s.worker_id = i.id
WHERE i.state IN ('starting', 'ready', 'busy', 'draining') AND i.queue = ANY(%s)
  AND s.status = 'running' GROUP BY s.queue
"""


def queue_signals(queues: Iterable[str]) -> dict[str, QueueSignal]:
    """Queue → its signal; an idle queue is left out."""
    names = list(queues)
    waiting = {row[0]: row for row in query(_QUEUED, [names])}
    running = dict(query(_RUNNING, [names]))
    return {
        name: QueueSignal(
            queued=waiting[name][1] if name in waiting else 0,
            running=running.get(name, 0),
            oldest_seconds=float(waiting[name][2]) if name in waiting else 0.0,
        )
        for name in waiting.keys() | running.keys()
    }


# Only ready ones: the others are moved when they become ready.
_REROUTE = """
WITH left_over AS (
  SELECT s.id FROM step s JOIN deployment d ON s.queue = 'deployment.' || d.id
  WHERE d.phase = 'retired' AND s.status = 'ready' FOR UPDATE OF s SKIP LOCKED)
UPDATE step s SET queue = 'shared' FROM left_over l WHERE l.id = s.id RETURNING s.id
"""


def reroute_retired() -> int:
    """Steps that wait for instances of a retired deployment go to the shared pool; how many."""
    moved = len(query(_REROUTE, []))
    if moved:
        ring("wake", SHARED_QUEUE, times=min(moved, 8))
    return moved

"""The actors: each only wakes the engine of this process. The row is the truth."""

from uuid import UUID

import dramatiq

from controlplane.kit.background import broker
from runs import current

__all__ = ["broker", "look", "private_queue", "wake"]


def private_queue(worker_id: UUID) -> str:
    """The queue only one worker listens to."""
    return f"worker.{worker_id}"


@dramatiq.actor(queue_name="shared")
def wake() -> None:
    """There may be ready steps in the queue."""
    current.engine().wake()


@dramatiq.actor(queue_name="shared")
def look() -> None:
    """A run was cancelled: compare the leases now."""
    current.heart().beat_now()

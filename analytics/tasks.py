"""The actor of exports: one id in, one call. The row is the truth."""

from uuid import UUID

import dramatiq
from django.db import connection

from analytics import making
from analytics.exports import ACTOR
from controlplane.kit import background


@dramatiq.actor(actor_name=ACTOR, queue_name=background.QUEUE)
def make_export(export_id: str) -> None:
    """Make a file."""
    try:
        making.make(UUID(export_id))
    finally:
        connection.close()

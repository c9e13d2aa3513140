"""The verbs of exports: asking for one, throwing it away, and what the ticker does about them."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics.models import Export
from controlplane.kit import audit, background
from controlplane.kit.errors import DomainError
from controlplane.kit.exporting import Listing

KEPT = timedelta(days=7)
ACTOR = "make_export"
# Where nobody said anything for so long, somebody is rung for; who works on it holds a lock.
SILENT = timedelta(seconds=5)
MOST_OPEN = 10


@transaction.atomic
def begin(listing: Listing, *, actor: Any) -> Export:
    """Ask for a file of a list, made in the background; DomainError where too many are open."""
    view = listing.view
    mine = Export.objects.filter(project=view.project, requested_by=actor.pk)
    if mine.filter(status__in=("queued", "running")).count() >= MOST_OPEN:
        raise DomainError(
            f"{MOST_OPEN} of your exports are still being made; wait for one of them.",
            code="too_many_exports",
        )
    export = Export.objects.create(
        project=view.project,
        requested_by_id=actor.pk,
        key_id=actor.api_key.pk if actor.api_key is not None else None,
        title=view.get_title()[:120],
        path=view.request.path,
        query=listing.query,
        format=listing.kind,
        expires_at=timezone.now() + KEPT,
    )
    audit.record(
        "list.exported",
        actor=actor,
        project_id=export.project_id,
        target=export,
        after={"list": export.path, "query": export.query, "format": export.format},
    )
    transaction.on_commit(lambda: background.wake(ACTOR, export.pk))
    return export


@transaction.atomic
def throw_away(export: Export, *, actor: Any) -> None:
    """Delete an export with its file; one that is being made stops."""
    audit.record(
        "export.deleted",
        actor=actor,
        project_id=export.project_id,
        target=export,
        before={"list": export.path, "query": export.query, "format": export.format},
    )
    export.delete()


def tend() -> None:
    """Ring again for what nobody makes, and delete what expired."""
    now = timezone.now()
    idle = Export.objects.filter(status__in=("queued", "running"), updated_at__lt=now - SILENT)
    for key in idle.values_list("pk", flat=True)[:20]:
        background.wake(ACTOR, key)
    Export.objects.filter(expires_at__lt=now).delete()

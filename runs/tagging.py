"""The tags of a run, changed once it has ended: until then rules may go by them."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from controlplane.kit import audit
from controlplane.kit.errors import InvalidInput, InvalidTransition
from runs.models import Run
from runs.start_body import MOST_TAGS


@transaction.atomic
def retag(run: Run, tags: Iterable[str], *, actor: Any) -> Run:
    """Give a run these tags. 409 where it has not ended, 422 where there are too many."""
    locked = Run.objects.select_for_update(of=("self",)).only("status", "tags").get(pk=run.pk)
    if not locked.is_terminal:
        raise InvalidTransition("The run has not ended; cancel it or wait.", code="not_terminal")
    wanted = list(tags)
    if len(wanted) > MOST_TAGS:
        raise InvalidInput.of("tags", f"A run has at most {MOST_TAGS} tags.", "too_many")
    if wanted != locked.tags:
        Run.objects.filter(pk=run.pk).update(tags=wanted, updated_at=timezone.now())
        sides = {"before": {"tags": locked.tags}, "after": {"tags": wanted}}
        audit.record("run.tagged", actor=actor, project_id=run.project_id, target=run, **sides)
    return Run.objects.for_list().get(pk=run.pk)

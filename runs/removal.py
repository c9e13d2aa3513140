"""Deleting runs that have ended, with all that belongs to them."""

from typing import Any

from django.db import transaction

from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidTransition
from controlplane.kit.models import Event
from runs.models import Effect, Run


@transaction.atomic
def delete(run: Run, *, actor: Any) -> None:
    """Delete a run with its steps, events, logs and calls' records of steps; what was paid stays in
    the records of calls. 409 where it has not ended, or a call of it waits for a person's word."""
    locked = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if not locked.is_terminal:
        raise InvalidTransition("The run has not ended; cancel it or wait.", code="not_terminal")
    if Effect.objects.filter(run=locked, state=Effect.State.UNKNOWN).exists():
        raise DomainError(
            "A call of this run may or may not have happened; resolve it first.",
            code="unresolved_effect",
        )
    before = {"workflow": str(run.workflow), "status": locked.status}
    audit.record(
        "run.deleted", actor=actor, project_id=locked.project_id, target=run, before=before
    )
    Event.objects.filter(subject_id=locked.pk).delete()
    locked.delete()

"""Deleting runs that have ended, one by one and on request; what is too old goes by retention."""

from typing import Any

from django.db import connection, transaction

from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidTransition
from runs import retention_sql as sql
from runs.models import Effect, Run
from runs.states import RUN_TERMINAL, RunStatus

# Named one by one, as the index of runs that have not ended names them.
ALIVE = [status for status in RunStatus if status not in RUN_TERMINAL]


@transaction.atomic
def delete(run: Run, *, actor: Any) -> None:
    """Delete a run with its steps, events and logs; what its calls cost stays in their own records.
    409 where it has not ended, another run of its tree goes on, or a call of it waits for a
    person's word."""
    locked = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if not locked.is_terminal:
        raise InvalidTransition("The run has not ended; cancel it or wait.", code="not_terminal")
    if Run.objects.filter(root_id=locked.root_id, status__in=ALIVE).exists():
        raise DomainError("A run that hangs together with it goes on.", code="tree_alive")
    if Effect.objects.filter(run=locked, state=Effect.State.UNKNOWN).exists():
        raise DomainError(
            "A call of this run may or may not have happened; resolve it first.",
            code="unresolved_effect",
        )
    before = {"workflow": str(run.workflow), "status": locked.status}
    audit.record(
        "run.deleted", actor=actor, project_id=locked.project_id, target=run, before=before
    )
    with connection.cursor() as cursor:
        for statement in sql.DELETE_RUNS:
            cursor.execute(statement, [[locked.pk]])

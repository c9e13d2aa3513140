"""Questions to people whose step has ended without their word are taken back."""

from uuid import UUID

from django.db import transaction

from governance import approvals
from governance.models import Approval
from runs.models import Step
from runs.states import STEP_TERMINAL

MOST_AT_ONCE = 500


def take_back_on_commit(run_id: UUID) -> None:
    """After a cancel: approval before run is the lock order, so not under the run's lock."""
    transaction.on_commit(lambda: approvals.cancel_for_run(run_id))


def take_back_orphans() -> int:
    """Approvals that wait for a step that has ended. How many were taken back."""
    pending = Approval.objects.filter(status=Approval.Status.PENDING, step_id__isnull=False)
    ended = Step.objects.filter(pk__in=pending.values("step_id"), status__in=STEP_TERMINAL)
    orphans = list(ended.values_list("pk", flat=True)[:MOST_AT_ONCE])
    return len(approvals.cancel_for_steps(orphans, wait=False)) if orphans else 0

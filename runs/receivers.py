"""Hears the one signal of the house: an approval was decided, so the step that waits goes on."""

from typing import Any

from django.db import connection
from django.dispatch import receiver

from governance.approvals import event_data
from governance.models import Approval
from governance.signals import approval_decided
from runs.lifecycle import Ledger
from runs.release import tell_on_commit


@receiver(approval_decided)
def go_on(sender: Any, approval: Approval, **kwargs: Any) -> None:
    """Resume the waiting step, in the transaction of the decision: approval first, then run."""
    if approval.run_id is None:
        return
    ledger = Ledger(connection.connection)
    for run in ledger.lock([approval.run_id], wait=True):
        if run.is_terminal:
            return
        ledger.event(run, "approval.decided", approval.step_id, event_data(approval))
        queues = ledger.resume_steps(run, [approval.step_id], {})
        ledger.write()
        tell_on_commit(ledger.groups(), queues)

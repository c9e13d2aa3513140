"""Approvals that nobody decides: out of time, escalated, taken back."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from governance import approval_rules as rules
from governance.approval_rows import announce, clock, end, record
from governance.models import Approval
from governance.signals import approval_decided

logger = logging.getLogger(__name__)
Status = Approval.Status
DUE_AT_ONCE = 200


def next_due() -> datetime | None:
    """When the next open question falls due; None where none does."""
    rows = Approval.objects.pending().filter(due_at__isnull=False)
    return rows.order_by("due_at").values_list("due_at", flat=True).first()


def expire_due(now: datetime | None = None) -> list[Approval]:
    """End or escalate what nobody decided in time; answers those that were ended or escalated.

    Each in its own transaction; one that fails is logged and tried again at the next call. Without
    `now` by the database's clock.
    """
    now = now or clock()
    due = Approval.objects.pending().filter(due_at__lte=now).order_by("due_at")
    ended = []
    for approval_id in due.values_list("pk", flat=True)[:DUE_AT_ONCE]:
        try:
            with transaction.atomic():
                rows = due.select_for_update(skip_locked=True).filter(pk=approval_id)
                for row in rows:
                    _run_out(row, now)
                    ended.append(row)
        except Exception:  # One that cannot be ended must not hold up the others.
            logger.exception("approval %s could not be ended", approval_id)
    return ended


def _run_out(row: Approval, now: datetime) -> None:
    if row.on_timeout == Approval.OnTimeout.ESCALATE:
        _escalate(row, now)
        return
    end(row, Status.EXPIRED, now)
    record(row, "expired", None, status=row.status, on_timeout=row.on_timeout)
    announce(row, "decided", by=None)
    approval_decided.send(sender=Approval, approval=row)


def _escalate(row: Approval, now: datetime) -> None:
    plan = row.escalation or {}
    row.assignees = rules.escalated(row)
    row.escalated_at = now
    row.due_at = None
    if seconds := plan.get("due_seconds"):
        row.due_at = now + timedelta(seconds=seconds)
        row.on_timeout = Approval.OnTimeout(plan.get("on_timeout", "reject"))
    row.save(update_fields=["assignees", "escalated_at", "due_at", "on_timeout", "updated_at"])
    record(row, "escalated", None, assignees=row.assignees, due_at=row.due_at)
    announce(row, "escalated")


def cancel_for_steps(step_ids: Iterable[UUID], *, wait: bool = True) -> list[UUID]:
    """Take back what these steps asked: nobody waits any more. No signal. Answers their ids.

    With `wait=False`, for a caller that holds the run's lock, questions that are being decided at
    this moment are left; the decision then finds a step that no longer waits.
    """
    return _cancel(Approval.objects.filter(step_id__in=list(step_ids)), wait)


def cancel_for_run(run_id: UUID, *, wait: bool = True) -> list[UUID]:
    """Take back everything a run asked; as `cancel_for_steps`."""
    return _cancel(Approval.objects.filter(run_id=run_id), wait)


def cancel_for_key(project_id: UUID, subject: str, key: str) -> list[UUID]:
    """Take back the open question of a subject that no run asked; as `cancel_for_steps`."""
    rows = Approval.objects.filter(project_id=project_id, run_id=None, subject=subject, key=key)
    return _cancel(rows, wait=True)


def _cancel(rows: QuerySet, wait: bool) -> list[UUID]:
    with transaction.atomic():
        open_rows = rows.filter(status=Status.PENDING).order_by("pk")
        found = list(open_rows.select_for_update(skip_locked=not wait))
        for row in found:
            end(row, Status.CANCELLED, clock())
            record(row, "cancelled", None, status=row.status)
            announce(row, "cancelled")
    return [row.pk for row in found]

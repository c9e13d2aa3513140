"""The row of an approval: its clock, its end, its events and audit rows."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Func

from controlplane.kit import audit, events
from governance.models import Approval


class Clock(Func):
    """The database's clock, which alone says what is due."""

    function = "clock_timestamp"
    output_field = DateTimeField()


def clock() -> datetime:
    """The time of the database now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def event_data(approval: Approval) -> dict[str, Any]:
    """What the `approval.…` events of an approval say; for the run's events too."""
    return {
        "approval": str(approval.pk),
        "run": str(approval.run_id) if approval.run_id else None,
        "title": approval.title,
        "status": approval.status,
        "due_at": approval.due_at.isoformat() if approval.due_at else None,
    }


def announce(approval: Approval, word: str, **more: Any) -> None:
    """Write the event `approval.<word>` of the project's activity."""
    # Of an approval with a run, `requested` and `decided` stand in the run's own history.
    if approval.run_id is None or word not in ("requested", "decided"):
        data = event_data(approval) | more
        events.append(approval.pk, approval.project_id, f"approval.{word}", data)


def record(approval: Approval, verb: str, actor: Any, **after: Any) -> None:
    """Write the audit row `approval.<verb>`."""
    audit.record(
        f"approval.{verb}",
        actor=actor,
        project_id=approval.project_id,
        target=approval,
        after=after or None,
    )


def end(row: Approval, status: str, now: datetime) -> None:
    """Nobody is waited for any more."""
    row.status, row.decided_at = status, now
    row.save(
        update_fields=["status", "decided_at", "edited_arguments", "shown_sha256", "updated_at"]
    )

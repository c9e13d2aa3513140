"""How people decide: what waits, how long it takes, who does it, how the same went before."""

from datetime import datetime
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, FloatField, Func, Min, Q
from django.utils import timezone

from governance.models import Approval, ApprovalDecision, ApprovalQuerySet
from tools.usage import Percentile

MOST_PEOPLE = 100
# As many of the newest decisions of a shape are looked at; older ones say little about today.
MOST_ALIKE = 200
BY_PEOPLE = ("approved", "rejected")


def _seconds(end: str, start: str) -> Func:
    span = ExpressionWrapper(F(end) - F(start), output_field=DurationField())
    return Func(
        span, template="EXTRACT(epoch FROM %(expressions)s)::float8", output_field=FloatField()
    )


def statistics(rows: ApprovalQuerySet, since: datetime, until: datetime) -> dict[str, Any]:
    """Of some approvals: what waits now, and what was decided from `since` until before `until`,
    in all and by person. Times in seconds, null where nothing was decided."""
    rows = rows.order_by()
    now = rows.pending().aggregate(
        waiting=Count("pk"),
        overdue=Count("pk", filter=Q(due_at__lte=timezone.now())),
        oldest=Min("created_at"),
    )
    taken = _seconds("decided_at", "created_at")
    by_people = Q(status__in=BY_PEOPLE)
    ended = rows.filter(decided_at__gte=since, decided_at__lt=until).aggregate(
        decided=Count("pk", filter=by_people),
        approved=Count("pk", filter=Q(status="approved")),
        rejected=Count("pk", filter=Q(status="rejected")),
        expired=Count("pk", filter=Q(status="expired")),
        edited=Count("pk", filter=Q(status="approved", edited_arguments__isnull=False)),
        median_seconds=Percentile(taken, 0.5, filter=by_people),
        p95_seconds=Percentile(taken, 0.95, filter=by_people),
    )
    oldest = now.pop("oldest")
    return {
        "from": since,
        "to": until,
        **now,
        "oldest_waiting_seconds": (timezone.now() - oldest).total_seconds() if oldest else None,
        **ended,
        "by_person": _by_person(rows, since, until),
    }


def _by_person(rows: ApprovalQuerySet, since: datetime, until: datetime) -> list[dict[str, Any]]:
    words = ApprovalDecision.objects.filter(
        approval__in=rows.values("pk"), created_at__gte=since, created_at__lt=until
    )
    taken = _seconds("created_at", "approval__created_at")
    found = (
        words.order_by()
        .values("actor_id", "actor__name", "actor__email")
        .annotate(
            decided=Count("pk"),
            approved=Count("pk", filter=Q(action="approve")),
            rejected=Count("pk", filter=Q(action="reject")),
            median_seconds=Percentile(taken, 0.5),
            p95_seconds=Percentile(taken, 0.95),
        )
        .order_by("-decided", "actor__email")[:MOST_PEOPLE]
    )
    return [
        {
            "by": row["actor_id"],
            "name": row["actor__name"] or row["actor__email"],
            **{
                name: row[name]
                for name in ("decided", "approved", "rejected", "median_seconds", "p95_seconds")
            },
        }
        for row in found
    ]


def history_like(approval: Approval) -> dict[str, Any]:
    """How requests of the same shape in the same project were decided lately:
    {approved, rejected, expired, edited, median_seconds, last_status, last_at}."""
    alike = Approval.objects.filter(
        project_id=approval.project_id,
        shape=approval.shape,
        status__in=(*BY_PEOPLE, "expired"),
        decided_at__isnull=False,
    ).exclude(pk=approval.pk)
    newest = alike.order_by("-decided_at").values("pk")[:MOST_ALIKE]
    taken = _seconds("decided_at", "created_at")
    found = Approval.objects.filter(pk__in=newest).aggregate(
        approved=Count("pk", filter=Q(status="approved")),
        rejected=Count("pk", filter=Q(status="rejected")),
        expired=Count("pk", filter=Q(status="expired")),
        edited=Count("pk", filter=Q(status="approved", edited_arguments__isnull=False)),
        median_seconds=Percentile(taken, 0.5, filter=Q(status__in=BY_PEOPLE)),
    )
    last = alike.order_by("-decided_at").values("status", "decided_at").first() or {}
    return {**found, "last_status": last.get("status"), "last_at": last.get("decided_at")}


def waiting_count(project_id: Any, most: int = 100) -> int:
    """How many approvals of a project wait, counted up to `most`; one look into a small index."""
    rows = Approval.objects.filter(project_id=project_id, status="pending").order_by()
    return rows.values("pk")[:most].count()

"""How people decide: what waits, how long it takes, who does it, how the same went before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, DurationField, ExpressionWrapper, F, FloatField, Func, Min, Q
from django.utils import timezone

from governance.models import Approval, ApprovalDecision, ApprovalQuerySet
from tools.usage import Percentile

MOST_PEOPLE = 100
# As many of the newest decisions of a shape are looked at; older ones say little about today.
MOST_ALIKE = 200
BY_PEOPLE = ("approved", "rejected")
ALIKE = """
SELECT asked.id,
  count(*) FILTER (WHERE status = 'approved') AS approved,
  count(*) FILTER (WHERE status = 'rejected') AS rejected,
  count(*) FILTER (WHERE status = 'expired') AS expired,
  count(*) FILTER (WHERE status = 'approved' AND is_edited) AS edited,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status <> 'expired')
    AS median_seconds,
  (array_agg(status ORDER BY decided_at DESC) FILTER (WHERE status IS NOT NULL))[1] AS last_status,
  max(decided_at) AS last_at
FROM unnest(%(ids)s::uuid[], %(projects)s::uuid[], %(shapes)s::text[]) AS asked(id, project, shape)
LEFT JOIN LATERAL (
  SELECT status, decided_at, edited_arguments IS NOT NULL AS is_edited,
    extract(epoch FROM decided_at - created_at)::float8 AS seconds
  FROM approval
  WHERE project_id = asked.project AND approval.shape = asked.shape AND approval.id <> asked.id
    AND status IN ('approved', 'rejected', 'expired') AND decided_at IS NOT NULL
  ORDER BY decided_at DESC LIMIT %(most)s
) AS alike ON true
GROUP BY asked.id
"""


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
    return histories_like([approval])[approval.pk]


def histories_like(approvals: Sequence[Approval]) -> dict[UUID, dict[str, Any]]:
    """`history_like` of each, by id; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            ALIKE,
            {
                "ids": [row.pk for row in approvals],
                "projects": [row.project_id for row in approvals],
                "shapes": [row.shape for row in approvals],
                "most": MOST_ALIKE,
            },
        )
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    return {row.pop("id"): row for row in found}


def waiting_count(project_id: Any, most: int = 100) -> int:
    """How many approvals of a project wait, counted up to `most`; one look into a small index."""
    rows = Approval.objects.filter(project_id=project_id, status="pending").order_by()
    return rows.values("pk")[:most].count()

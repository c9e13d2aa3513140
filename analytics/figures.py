"""The figures of the dashboard, read from the rows of runs."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, FloatField, Func, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from agents.models import Instance
from controlplane.kit.models import Event
from governance.models import Approval
from runs.models import Run, Step
from tools.usage import Percentile

PERIOD = timedelta(hours=24)
ALIVE = ("queued", "running", "waiting", "paused", "cancelling")
FAILED = ("failed", "timed_out")
GROUPS = {
    "succeeded": ("succeeded",),
    "failed": FAILED,
    "cancelled": ("cancelled",),
    "running": ALIVE,
}
FEED_LENGTH = 14
# Words of event types that are no states, as the state they look like.
LIKE = {
    "started": "running", "resumed": "running", "requested": "waiting", "decided": "done",
    "deployed": "done", "scaled": "done", "lost": "failed",
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """One period: runs started, share of the ended ones that succeeded (0 to 1, None for none),
    95th percentile of their length in ms, what they cost."""

    runs: int
    success: float | None
    p95_ms: float | None
    cost: Any
    unpriced: int


def runs_of(project: Any, environment: Any = None) -> QuerySet[Run]:
    """The runs of a project, of one environment if given."""
    rows = Run.objects.filter(project=project).order_by()
    return rows.filter(environment=environment) if environment else rows


def figures(rows: QuerySet[Run], since: datetime, until: datetime) -> Figures:
    """The figures of runs created from `since` to before `until`; one query."""
    length = Func(
        F("ended_at") - F("started_at"),
        template="EXTRACT(epoch FROM %(expressions)s)::float8 * 1000",
        output_field=FloatField(),
    )
    ended = Q(status__in=("succeeded", *FAILED))
    found = rows.filter(created_at__gte=since, created_at__lt=until).aggregate(
        runs=Count("pk"),
        ended=Count("pk", filter=ended),
        succeeded=Count("pk", filter=Q(status="succeeded")),
        p95=Percentile(length, 0.95, filter=ended & Q(started_at__isnull=False)),
        cost=Sum("cost"),
        unpriced=Sum("unpriced_calls"),
    )
    return Figures(
        runs=found["runs"],
        success=found["succeeded"] / found["ended"] if found["ended"] else None,
        p95_ms=found["p95"],
        cost=found["cost"],
        unpriced=found["unpriced"] or 0,
    )


def alive_counts(rows: QuerySet[Run]) -> dict[str, int]:
    """Status → number of runs that have not ended."""
    found = rows.filter(status__in=ALIVE).values_list("status").annotate(Count("pk"))
    return dict(found)


def by_hour(rows: QuerySet[Run], until: datetime) -> list[dict[str, Any]]:
    """The last 24 hours, oldest first: {at, succeeded, failed, cancelled, running, total}."""
    first = until.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    counted: Counter[tuple[datetime, str]] = Counter()
    found = rows.filter(created_at__gte=first).annotate(hour=TruncHour("created_at"))
    for hour, status, count in found.values_list("hour", "status").annotate(Count("pk")):
        group = next(name for name, words in GROUPS.items() if status in words)
        counted[hour, group] += count
    hours = [first + timedelta(hours=n) for n in range(24)]
    return [
        {"at": at, **(groups := {g: counted[at, g] for g in GROUPS}), "total": sum(groups.values())}
        for at in hours
    ]


def attention(project: Any, rows: QuerySet[Run], since: datetime) -> list[dict[str, Any]]:
    """What wants a person, worst first: {status, text, detail, url, at}."""
    found: list[dict[str, Any]] = []
    queued = rows.filter(status="queued").count()
    if queued and not Instance.objects.filter(state__in=("ready", "busy")).exists():
        found.append(
            {
                "status": "failed",
                "text": "No worker is alive",
                "detail": f"{queued} queued",
                "url": "/runs/?status=queued",
            }
        )
    parked = Step.objects.filter(run__in=rows.filter(status="waiting"), status="parked")
    found += [
        {
            "status": "waiting",
            "text": f"{step.name} is parked",
            "detail": step.run.workflow.name,
            "url": f"{step.run.get_absolute_url()}?step={step.pk}",
        }
        for step in parked.select_related("run__workflow").defer("run__input", "run__output")[:5]
    ]
    approvals = Approval.objects.filter(project=project, status="pending").order_by("due_at")
    found += [
        {
            "status": "waiting",
            "text": approval.title,
            "detail": "waits for approval",
            "url": f"/runs/{approval.run_id}/?step={approval.step_id}" if approval.run_id else "/",
            "at": approval.due_at,
        }
        for approval in approvals[:5]
    ]
    failing = (
        rows.filter(created_at__gte=since, status__in=FAILED)
        .values("workflow_id", "workflow__name")
        .annotate(failed=Count("pk"), at=Max("created_at"))
        .order_by("-failed")[:5]
    )
    found += [
        {
            "status": "failed",
            "text": row["workflow__name"],
            "detail": f"{row['failed']} failed",
            "url": f"/runs/?workflow={row['workflow_id']}&status=failed&status=timed_out",
            "at": row["at"],
        }
        for row in failing
    ]
    return found


def feed(project_id: UUID) -> list[dict[str, Any]]:
    """The newest activity of a project: {type, word, status, at, run, data}; two queries."""
    events = list(
        Event.objects.filter(project_id=project_id, activity_seq__isnull=False).order_by(
            "-activity_seq"
        )[:FEED_LENGTH]
    )
    runs = Run.objects.for_rows().in_bulk([event.subject_id for event in events])
    return [
        {
            "type": event.type,
            "word": (word := event.type.partition(".")[2]).replace("_", " "),
            "status": LIKE.get(word, word),
            "at": event.at,
            "run": runs.get(event.subject_id),
            "data": event.data,
        }
        for event in events
    ]


def now_and_before(rows: QuerySet[Run]) -> tuple[Figures, Figures]:
    """The last period and the one before it."""
    now = timezone.now()
    return figures(rows, now - PERIOD, now), figures(rows, now - 2 * PERIOD, now - PERIOD)

"""What became of a tool's calls, counted from the calls themselves."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet, Sum
from django.db.models.functions import TruncDay

from controlplane.kit.json import money
from tools.models import Tool

_MOST_GROUPS = 50
LONGEST = timedelta(days=366)


class Percentile(Aggregate):
    """percentile_cont: the value below which that share of the rows lies."""

    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: Any, share: float, **extra: Any) -> None:
        super().__init__(expression, share=share, **extra)


_FIGURES: dict[str, Any] = {
    "calls": Count("pk"),
    "errors": Count("pk", filter=~Q(error_code="")),
    "p50_ms": Percentile("latency_ms", 0.5),
    "p95_ms": Percentile("latency_ms", 0.95),
    "cost_sum": Sum("cost"),
}


def usage(tool: Tool, since: datetime, until: datetime) -> dict[str, Any]:
    """{totals, days, agents, workflows, errors} of the calls from `since` until before `until`.
    Durations in ms, money as plain text, null where nothing was priced."""
    calls = tool.calls.filter(started_at__gte=since, started_at__lt=until)
    days = calls.annotate(at=TruncDay("started_at")).values("at").annotate(**_FIGURES)
    return {
        "from": since,
        "to": until,
        "totals": _figures(calls.aggregate(**_FIGURES)),
        "days": [{"at": row["at"], **_figures(row)} for row in days.order_by("at")],
        "agents": _by(calls, "agent_id", "agent"),
        "workflows": _by(calls, "workflow_id", "workflow"),
        "errors": [
            {"code": row["error_code"], "calls": row["calls"]}
            for row in calls.exclude(error_code="")
            .values("error_code")
            .annotate(calls=Count("pk"))
            .order_by("-calls", "error_code")[:_MOST_GROUPS]
        ],
    }


def _by(calls: QuerySet, field: str, name: str) -> list[dict[str, Any]]:
    rows = calls.exclude(**{field: None}).values(named=F(field)).annotate(**_FIGURES)
    return [
        {name: row["named"], **_figures(row)}
        for row in rows.order_by("-calls", "named")[:_MOST_GROUPS]
    ]


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    cost: Decimal | None = row["cost_sum"]
    return {
        "calls": row["calls"],
        "errors": row["errors"],
        "p50_ms": _rounded(row["p50_ms"]),
        "p95_ms": _rounded(row["p95_ms"]),
        "cost": money(cost),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

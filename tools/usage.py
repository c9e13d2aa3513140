"""What became of a tool's calls, counted from the calls themselves."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
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


def bars(days: list[dict[str, Any]], until: date, count: int) -> list[dict[str, Any]]:
    """A bar for each of `count` days up to `until`, empty ones too: {at, x, width, calls, errors}
    and the heights of good and bad calls in hundredths of the highest day."""
    by_day = {day["at"].date(): day for day in days}
    highest = max((day["calls"] for day in days), default=0) or 1
    found = []
    for place in range(count):
        at = until - timedelta(days=count - 1 - place)
        day = by_day.get(at) or {"calls": 0, "errors": 0}
        bad = 100 * day["errors"] / highest
        good = 100 * (day["calls"] - day["errors"]) / highest
        found.append(
            {
                "at": at,
                "x": round(100 * place / count, 3),
                "width": round(80 / count, 3),
                "calls": day["calls"],
                "errors": day["errors"],
                "good": round(good, 2),
                "good_y": round(100 - good, 2),
                "bad": round(bad, 2),
                "bad_y": round(100 - good - bad, 2),
            }
        )
    return found


# Calls hold ids of what lies to the right of this app; their names are asked for by model name.
_NAMED = {"agent": "agents.Agent", "workflow": "workflows.Workflow"}


def named(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The figures of agents or workflows with `name` and `url`; a deleted one keeps its id."""
    model = apps.get_model(_NAMED[kind])
    found = model._default_manager.in_bulk([row[kind] for row in rows])
    return [
        {
            **row,
            "name": str(found.get(row[kind], row[kind])),
            "url": found[row[kind]].get_absolute_url() if row[kind] in found else "",
        }
        for row in rows
    ]


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

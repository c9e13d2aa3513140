"""The pages of the roof: the dashboard and the gallery of components."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from analytics import figures
from controlplane import gallery
from controlplane.kit.fragments import fragment_target
from controlplane.kit.tables import Verb
from controlplane.templatetags import formats

# Height of the chart of runs over time, in the units of its view box.
CHART_HEIGHT = 100
CHART_TONES = (
    ("succeeded", "green"),
    ("running", "blue"),
    ("cancelled", "grey"),
    ("failed", "red"),
)


def dashboard(request: HttpRequest) -> HttpResponse:
    """Is anything wrong, where, and what goes on; its parts fetch themselves anew."""
    project = request.place.project
    if project is None:
        return render(request, "kit/no_project.html", {"title": "Dashboard"})
    rows = figures.runs_of(project, request.place.environment)
    target = fragment_target(request)
    if target == "feed":
        return render(request, "dashboard/_feed.html", {"feed": figures.feed(project.pk)})
    context = _figures(rows) | _attention(project, rows)
    if target == "overview":
        return render(request, "dashboard/_overview.html", context)
    may_start = request.user.has_perm("runs.add_run", project)
    start = Verb("Start a run", reverse("runs:start"), dialog=True, kind="primary")
    context |= {"feed": figures.feed(project.pk), "actions": [start] if may_start else []}
    return render(request, "dashboard/dashboard.html", context)


def _figures(rows: Any) -> dict[str, Any]:
    now, before = figures.now_and_before(rows)
    alive = figures.alive_counts(rows)
    shown = [
        _figure("Runs", formats.format_count(now.runs), _change(now.runs, before.runs)),
        _figure(
            "Succeeded", _percent(now.success), _points(now.success, before.success),
            bad=now.success is not None and now.success < 0.9,
        ),
        _figure("p95 duration", formats.format_duration(now.p95_ms),
                _change(now.p95_ms, before.p95_ms)),
        _figure("Cost", formats.format_money(now.cost) if now.cost is not None else formats.NONE,
                f"{now.unpriced} calls unpriced" if now.unpriced else
                _change(now.cost, before.cost), bad=bool(now.unpriced)),
        _figure("Running now", formats.format_count(alive.get("running", 0)),
                f"{alive.get('queued', 0)} queued", url="/runs/?status=running"),
        _figure("Waiting", formats.format_count(alive.get("waiting", 0) + alive.get("paused", 0)),
                "for a person or a time", url="/runs/?status=waiting&status=paused"),
    ]  # fmt: skip
    return {"figures": shown} | _chart(rows)


def _figure(
    label: str, value: str, note: str, *, bad: bool = False, url: str = ""
) -> dict[str, Any]:
    return {"label": label, "value": value, "note": note, "bad": bad, "url": url}


def _percent(share: float | None) -> str:
    if share is None:
        return formats.NONE
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _change(now: Any, before: Any) -> str:
    if not now or not before:
        return "the day before: nothing" if now and not before else ""
    change = 100 * (float(now) / float(before) - 1)
    return f"{change:+.0f} % against the day before".replace("-", "−")


def _points(now: float | None, before: float | None) -> str:
    if now is None or before is None:
        return ""
    return f"{100 * (now - before):+.1f} points".replace("-", "−")


def _chart(rows: Any) -> dict[str, Any]:
    hours = figures.by_hour(rows, timezone.now())
    highest = max(hour["total"] for hour in hours)
    bars = []
    for index, hour in enumerate(hours):
        top = CHART_HEIGHT
        parts = []
        for name, tone in CHART_TONES:
            if hour[name]:
                height = max(CHART_HEIGHT * hour[name] / highest, 1.5)
                top -= height
                parts.append({"tone": tone, "y": f"{max(top, 0):.2f}", "height": f"{height:.2f}"})
        bars.append({"x": f"{index * 100 / 24 + 0.4:.2f}", "parts": parts, **hour})
    return {"bars": bars, "highest": highest}


def _attention(project: Any, rows: Any) -> dict[str, Any]:
    since = timezone.now() - figures.PERIOD
    return {"attention": figures.attention(project, rows, since)}


def components(request: HttpRequest) -> HttpResponse:
    """The gallery, for the staff."""
    if not request.user.is_staff:
        raise PermissionDenied("The gallery is for the staff.")
    return render(request, "gallery.html", {"specimens": gallery.rendered(request)})

"""What every page's frame shows: the project, the environments, the navigation."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from governance.approval_figures import waiting_count
from projects.freezing import sentence
from runs.reconcile_views import doubted_count

NAVIGATION = (
    (
        "Operate",
        (
            ("Dashboard", "dashboard", "layout-dashboard"),
            ("Runs", "runs:list", "player-play"),
            ("Approvals", "approvals:list", "checks"),
            ("Queues", "queues:list", "stack-2"),
            ("Reconcile", "reconciliations:list", "git-merge"),
        ),
    ),
    (
        "Build",
        (
            ("Workflows", "workflows:list", "sitemap"),
            ("Agents", "agents:list", "robot"),
            ("Tools", "tools:list", "tool"),
            ("Schedules", "schedules:list", "clock"),
        ),
    ),
    (
        "Govern",
        (
            ("Policies", "policies:list", "shield"),
            ("Violations", "violations:list", "alert-octagon"),
            ("Budgets", "budgets:list", "wallet"),
            ("Audit", "audit:list", "list-details"),
        ),
    ),
    (
        "Insight",
        (
            ("Analytics", "analytics:overview", "chart-line"),
            ("Exports", "exports:list", "download"),
        ),
    ),
    ("", (("Trash", "trash:start", "trash"), ("Settings", "settings:project", "settings"))),
)


def _waiting(request: HttpRequest) -> int:
    return waiting_count(request.place.project.pk) if request.place.project else 0


def _doubted(request: HttpRequest) -> int:
    return doubted_count(request.place.project.pk) if request.place.project else 0


def _freeze(request: HttpRequest) -> dict[str, Any]:
    """What of the current project is frozen, in words, and whether the user may change that."""
    project = request.place.project
    held = [e.name for e in request.place.environments if e.frozen_at is not None]
    if project is not None and project.frozen_at is not None:
        label, why = "Frozen", sentence(project)
    else:
        label, why = (f"Frozen: {', '.join(held)}" if held else ""), ""
    may = project is not None and request.user.has_perm("projects.freeze_project", project)
    is_whole = project is not None and project.frozen_at is not None
    return {"label": label, "why": why, "may": may, "whole": is_whole}


# Entries that show a number: the template that draws it, and who counts.
BADGES = {
    "approvals:list": ("governance/_badge.html", _waiting),
    "reconciliations:list": ("reconciliations/_badge.html", _doubted),
}


def _entry(request: HttpRequest, label: str, name: str, icon: str) -> dict[str, Any] | None:
    try:
        url = reverse(name)
    except NoReverseMatch:
        return None
    active = request.path == url or (url != "/" and request.path.startswith(url))
    entry = {"label": label, "url": url, "icon": icon, "active": active}
    if name in BADGES:
        template, count = BADGES[name]
        # Counted where the rail is drawn, not for every fragment.
        entry |= {"badge_template": template, "count": SimpleLazyObject(lambda: count(request))}
    return entry


def frame(request: HttpRequest) -> dict[str, Any]:
    """The frame of a signed-in page; nothing for a stranger. Only pages that exist are listed."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    nav = []
    for group, entries in NAVIGATION:
        items = [e for e in (_entry(request, *entry) for entry in entries) if e]
        if items:
            nav.append({"group": group, "items": items})
    return {
        "nav": nav,
        "current_project": request.place.project,
        "projects": request.place.projects,
        "environments": request.place.environments,
        "current_environment": request.place.environment,
        "freeze": SimpleLazyObject(lambda: _freeze(request)),
    }

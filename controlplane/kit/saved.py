"""Saved views of lists, as a list shows them: which there are, which one is open, which opens by
itself. Where they are kept is the business of `request.place`."""

from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

# Parameters of a list's address that belong to one look at it, not to the view.
PASSING = ("page", "cursor", "view", "rows", "export", "selected")
# Asks for the whole list where a view opens by itself.
WHOLE = "all"


def normal(query: QueryDict) -> str:
    """A query string with its names in order, so that the same view is the same text."""
    kept = QueryDict(mutable=True)
    for name in sorted(query):
        values = sorted(value for value in query.getlist(name) if value)
        if name not in PASSING and values:
            kept.setlist(name, values)
    return kept.urlencode()


def table_of(request: HttpRequest) -> str:
    """The name a list's views are kept by: that of its route; empty where it has none."""
    match = request.resolver_match
    return "" if match is None or match.kwargs or match.args else match.view_name[:40]


def address_of(table: str) -> str | None:
    """The address of a list by that name; None where there is no such page."""
    try:
        address = reverse(table)
        view = getattr(resolve(address).func, "view_class", None)
    except (NoReverseMatch, Resolver404):
        return None
    return address if hasattr(view, "filterset_class") else None


def opening(request: HttpRequest) -> str | None:
    """Where a list without any parameter leads instead: to the view that opens by itself."""
    table = table_of(request)
    if not table or request.META.get("QUERY_STRING"):
        return None
    view = request.place.default_view(table)
    return f"{request.path}?{view.query}" if view is not None and view.query else None


def menu(request: HttpRequest) -> dict[str, Any] | None:
    """What components/_views_menu.html draws; None for a list without views."""
    table = table_of(request)
    if not table or request.place.project is None:
        return None
    views, opens = request.place.saved_views(table), request.place.default_view(table)
    now = normal(request.GET)
    items = [
        {
            "name": view.name,
            "url": f"{request.path}?{view.query or f'view={WHOLE}'}",
            "active": view.query == now,
            "opens": opens is not None and view.pk == opens.pk,
            "own": view.user_id == request.user.pk,
            "shared": view.shared,
            "owner": str(view.user),
            "edit": reverse("views:edit", args=[view.pk]) + (f"?now={_quoted(now)}"),
            "delete": reverse("views:delete", args=[view.pk]),
        }
        for view in views
    ]
    asked = QueryDict(mutable=True)
    asked["table"], asked["query"] = table, now
    return {
        "items": items,
        "active": next((item["name"] for item in items if item["active"]), ""),
        "opens": opens is not None,
        "whole": f"{request.path}?view={WHOLE}",
        "save": f"{reverse('views:create')}?{asked.urlencode()}",
    }


def _quoted(text: str) -> str:
    asked = QueryDict(mutable=True)
    asked["now"] = text
    return asked.urlencode().removeprefix("now=")

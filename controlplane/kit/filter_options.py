"""What filters offer to choose from: the words that rows of the current project have."""

from collections.abc import Callable
from typing import Any

from django.db.models import F, Func
from django.http import HttpRequest

Offered = Callable[[HttpRequest], list[tuple[str, str]]]
MOST_OFFERED = 100


def tags(model: Any, *, field: str = "tags", recent: int | None = None) -> Offered:
    """The tags of the rows of a registry; with `recent` only of so many of the newest rows."""

    def offered(request: HttpRequest) -> list[tuple[str, str]]:
        rows = model.objects.alive().filter(project=request.place.project)
        if recent is not None:
            newest = rows.order_by("-created_at", "-id").values("pk")[:recent]
            rows = model.objects.filter(pk__in=newest)
        words = rows.order_by().annotate(_tag=Func(F(field), function="unnest"))
        found = words.values_list("_tag", flat=True).distinct().order_by("_tag")
        return [(word, word) for word in found[:MOST_OFFERED]]

    return offered


def words(model: Any, field: str, *, order: str, recent: int = 1_000) -> Offered:
    """The values that the newest rows have in a field."""

    def offered(request: HttpRequest) -> list[tuple[str, str]]:
        rows = model.objects.filter(project=request.place.project).order_by(order)
        newest = rows.values("pk")[:recent]
        found = model.objects.filter(pk__in=newest).order_by(field)
        values = found.values_list(field, flat=True).distinct()[:MOST_OFFERED]
        return [(str(value), str(value)) for value in values]

    return offered

"""The rows of one page of a large table, found by indexes whatever the order and however many
projects they are spread over."""

from typing import Any

from django.db.models import F, QuerySet

# More projects than that are read together.
MOST_PROJECTS = 20


def page_rows(queryset: QuerySet, start: int, stop: int) -> list[Any]:
    """Rows `start` to before `stop` of an ordered queryset.

    A model says by `indexed_orders` which fields it can be read in order of, project by project.
    In such an order the pages of several projects are merged; in any other one the keys are found
    first, which an index can do without the wide rows.
    """
    model: Any = queryset.model
    names = [str(n.name if isinstance(n, F) else n) for n in queryset.query.order_by]
    if not getattr(model, "indexed_orders", ()) or not names:
        return list(queryset[start:stop])
    projects = getattr(queryset, "projects", ())
    if names[0].lstrip("-") not in model.indexed_orders:
        keys = list(queryset.values_list("pk", flat=True)[start:stop])
    elif 1 < len(projects) <= MOST_PROJECTS:
        keys = _merged(queryset, names, projects, start, stop)
    else:
        return list(queryset[start:stop])
    rows = {row.pk: row for row in queryset.filter(pk__in=keys)}
    return [rows[key] for key in keys if key in rows]


def _merged(
    queryset: QuerySet, names: list[str], projects: Any, start: int, stop: int
) -> list[Any]:
    """The keys of a page of several projects: of each one as many as the page may need."""
    lookup = f"{queryset.model.project_path}_id"
    columns = list(dict.fromkeys(["pk", *(name.lstrip("-") for name in names)]))
    parts = [
        queryset.filter(**{lookup: project}).values_list(*columns)[:stop] for project in projects
    ]
    merged = parts[0].union(*parts[1:], all=True).order_by(*names)[start:stop]
    return [row[0] for row in merged]

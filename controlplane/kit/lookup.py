"""The rows of one page of a large table, found by indexes whatever the order and however many
projects they are spread over."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Model, Q, QuerySet

# More projects than that are read together.
MOST_PROJECTS = 20


def may_be_null(model: type[Model], field: str) -> bool:
    """Whether a column of the model itself may be empty."""
    try:
        return bool(getattr(model._meta.get_field(field), "null", False))
    except FieldDoesNotExist:
        return False


def ordered(queryset: QuerySet, names: Sequence[str]) -> QuerySet:
    """In the order of these fields; rows without a value come last, whatever the direction."""
    return queryset.order_by(
        *(
            F(name[1:]).desc(nulls_last=True)
            if name.startswith("-") and may_be_null(queryset.model, name[1:])
            else name
            for name in names
        )
    )


def page_rows(queryset: QuerySet, names: Sequence[str], start: int, stop: int) -> list[Any]:
    """Rows `start` to before `stop` of a queryset in the order of some fields.

    A model says by `indexed_orders` which fields it can be read in order of, project by project,
    and by `split_orders` in which parts it can be read in order of others. The pages of several
    projects and parts are merged; in any other order the keys are found first, which an index can
    do without the wide rows.
    """
    model: Any = queryset.model
    orders = getattr(model, "indexed_orders", ())
    queryset = ordered(queryset, names)
    if not orders:
        return list(queryset[start:stop])
    projects = getattr(queryset, "projects", ())
    field = names[0].lstrip("-")
    if field in getattr(model, "split_orders", ()):
        keys = _split(queryset, names, projects, start, stop)
    elif field not in orders:
        keys = list(queryset.values_list("pk", flat=True)[start:stop])
    elif 1 < len(projects) <= MOST_PROJECTS:
        keys = _merged([queryset], names, projects, start, stop)
    else:
        return list(queryset[start:stop])
    rows = {row.pk: row for row in queryset.order_by().filter(pk__in=keys)}
    return [rows[key] for key in keys if key in rows]


def _merged(
    parts: Sequence[QuerySet], names: Sequence[str], projects: Any, start: int, stop: int
) -> list[Any]:
    """The keys of a page of several parts and projects: of each as many as the page may need."""
    lookup = f"{parts[0].model.project_path}_id"
    several = 0 < len(projects) <= MOST_PROJECTS
    narrowed = [{lookup: project} for project in projects] if several else [{}]
    columns = list(dict.fromkeys(["pk", *(name.lstrip("-") for name in names)]))
    pieces = [
        part.filter(**where).values_list(*columns)[:stop] for part in parts for where in narrowed
    ]
    if len(pieces) == 1:
        return [row[0] for row in pieces[0][start:stop]]
    merged = pieces[0].union(*pieces[1:], all=True).order_by(*names)[start:stop]
    return [row[0] for row in merged]


def _split(
    queryset: QuerySet, names: Sequence[str], projects: Any, start: int, stop: int
) -> list[Any]:
    """The keys of a page of a model that is read in parts; rows without a value come last."""
    model: Any = queryset.model
    field = names[0].lstrip("-")
    empty = Q(**{f"{field}__isnull": True})
    # Only rows with a value, for which both ways of placing the others are the same.
    valued = queryset.order_by(*names).exclude(empty)
    parts = [valued.filter(part) for part in model.split_orders[field]]
    keys = _merged(parts, names, projects, start, stop)
    if len(keys) == stop - start or not may_be_null(model, field):
        return keys
    before = start + len(keys) if keys or not start else valued.order_by().count()
    rest = queryset.filter(empty).order_by(*names[1:]).values_list("pk", flat=True)
    return keys + list(rest[max(0, start - before) : stop - before])

"""Pages of a list: exact counts to 10,000, page numbers to 400, a cursor beyond."""

import base64
import time
from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.core.exceptions import EmptyResultSet
from django.db.models import F, Q, QuerySet
from django.http import Http404
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from controlplane.kit.errors import InvalidInput
from controlplane.kit.lookup import may_be_null, page_rows

DEFAULT_SIZE = 25
LARGEST_SIZE = 200
LAST_PAGE = 400
EXACT_TO = 10_000
REMEMBERED_SECONDS = 30
MOST_REMEMBERED = 1_000
# Question → until when it is known to have more rows than are counted.
_many: dict[str, float] = {}


def whole_number(text: str | None, default: int, field: str) -> int:
    """A positive integer of the query string; 422 for anything else."""
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text[:12]) > 0):
        raise InvalidInput.of(field, f"{field} must be a whole number from 1.")
    return int(text[:12])


def bounded_count(queryset: QuerySet, most: int = EXACT_TO) -> tuple[int, bool]:
    """(count, exact): counted up to `most` rows, then said to be at least that many. That there are
    more is remembered for a while, since only counting so far is slow and the word for it stays
    true but for a purge."""
    rows = queryset.order_by().values("pk")[: most + 1]
    try:
        sql, params = rows.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return 0, True
    now = time.monotonic()
    key = f"{most} {sql} {params}"
    if _many.get(key, 0.0) > now:
        return most, False
    count = rows.count()
    if count <= most:
        return count, True
    if len(_many) >= MOST_REMEMBERED:
        _many.clear()
    _many[key] = now + REMEMBERED_SECONDS
    return most, False


def _encode(row: Any, ordering: Sequence[str]) -> str:
    found = [getattr(row, name.lstrip("-")) for name in ordering]
    values = [None if value is None else str(value) for value in found]
    return base64.urlsafe_b64encode(signing.dumps([list(ordering), values]).encode()).decode()


def _decode(cursor: str, ordering: Sequence[str]) -> list[str | None]:
    try:
        names, values = signing.loads(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (ValueError, signing.BadSignature):
        raise InvalidInput.of("cursor", "The cursor is not one of ours.") from None
    if names != list(ordering):
        raise InvalidInput.of("cursor", "The cursor belongs to another ordering.")
    return values


def _after(model: Any, ordering: Sequence[str], values: Sequence[str | None]) -> Q:
    """Rows that come after `values` in `ordering` (keyset); those without a value come last."""
    condition, equal = Q(), Q()
    for name, value in zip(ordering, values, strict=True):
        field = name.lstrip("-")
        empty = Q(**{f"{field}__isnull": True})
        if value is None:
            equal &= empty
            continue
        side = "lt" if name.startswith("-") else "gt"
        beyond = Q(**{f"{field}__{side}": value})
        condition |= equal & (beyond | empty if may_be_null(model, field) else beyond)
        equal &= Q(**{field: value})
    first, value = ordering[0].lstrip("-"), values[0]
    if value is None or may_be_null(model, first):
        return condition
    # Said again as one bound, from which an index can begin.
    return Q(**{f"{first}__{'lte' if ordering[0].startswith('-') else 'gte'}": value}) & condition


def total_order(queryset: QuerySet) -> list[str]:
    """The queryset's ordering with the key appended, so that every row has one place; the key goes
    the way of the field before it, as an index that is read forwards or backwards does."""
    names = [n.name if isinstance(n, F) else str(n) for n in queryset.query.order_by]
    names = names or list(queryset.model._meta.ordering) or ["-created_at"]
    if names[-1].lstrip("-") in ("pk", "id"):
        return names
    return [*names, "-id" if names[-1].startswith("-") else "id"]


class ListPagination(BasePagination):
    """The envelope {count, count_exact, next, previous, results}."""

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        """One page of rows; 404 past the end, 422 `page_too_deep` past page 400."""
        self.request = request
        query = request.query_params
        size = whole_number(query.get("page_size"), DEFAULT_SIZE, "page_size")
        self.size = min(size, LARGEST_SIZE)
        self.number = whole_number(query.get("page"), 1, "page")
        if isinstance(queryset, list):
            return self._page_of_list(queryset)
        self.count, self.exact = bounded_count(queryset)
        self.ordering = total_order(queryset)
        if cursor := query.get("cursor"):
            self.by_cursor = True
            values = _decode(cursor, self.ordering)
            queryset = queryset.filter(_after(queryset.model, self.ordering, values))
            start = 0
        else:
            self.by_cursor = False
            if self.number > LAST_PAGE:
                raise InvalidInput(
                    f"Pages go to {LAST_PAGE}; follow `next` or reverse the ordering.",
                    code="page_too_deep",
                )
            start = (self.number - 1) * self.size
        return self._keep(page_rows(queryset, self.ordering, start, start + self.size + 1))

    def _page_of_list(self, rows: list[Any]) -> list[Any]:
        self.count, self.exact, self.by_cursor, self.ordering = len(rows), True, False, []
        start = (self.number - 1) * self.size
        return self._keep(rows[start : start + self.size + 1])

    def _keep(self, rows: list[Any]) -> list[Any]:
        if not rows and self.number > 1:
            raise Http404
        self.has_next = len(rows) > self.size
        self.rows = rows[: self.size]
        return self.rows

    def get_next_link(self) -> str | None:
        """The next page, by number while that is shallow, then by cursor."""
        if not self.has_next:
            return None
        url = self.request.build_absolute_uri()
        deep = self.number >= LAST_PAGE or self.by_cursor
        if deep and self.ordering:
            url = remove_query_param(url, "page")
            return replace_query_param(url, "cursor", _encode(self.rows[-1], self.ordering))
        return replace_query_param(url, "page", self.number + 1)

    def get_previous_link(self) -> str | None:
        """The page before; a cursor has none."""
        if self.by_cursor or self.number <= 1:
            return None
        return replace_query_param(self.request.build_absolute_uri(), "page", self.number - 1)

    def get_paginated_response(self, data: Any) -> Response:
        """The envelope around serialised rows."""
        return Response(
            {
                "count": self.count,
                "count_exact": self.exact,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        """OpenAPI of the envelope."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "count_exact", "next", "previous", "results"],
            "properties": {
                "count": {"type": "integer"},
                "count_exact": {"type": "boolean"},
                "next": link,
                "previous": link,
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """OpenAPI of the query parameters."""
        return [
            {"name": name, "in": "query", "required": False, "schema": {"type": kind}}
            for name, kind in (("page", "integer"), ("page_size", "integer"), ("cursor", "string"))
        ]

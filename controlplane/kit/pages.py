"""Which rows a list page shows: bounds, page numbers and the words around them."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from controlplane.kit.errors import InvalidInput
from controlplane.kit.lookup import page_rows
from controlplane.kit.pagination import (
    DEFAULT_SIZE,
    LARGEST_SIZE,
    LAST_PAGE,
    bounded_count,
    total_order,
    whole_number,
)

SIZES = [25, 50, 100]


def page_numbers(number: int, last: int) -> list[int | None]:
    """The numbers to offer around `number`; None where some are left out."""
    wanted = sorted({n for n in (1, number - 1, number, number + 1, last) if 1 <= n <= last})
    found: list[int | None] = []
    for n in wanted:
        before = found[-1] if found else 0
        if before is not None and n - before == 2:
            found.append(n - 1)
        elif before is not None and n - before > 2:
            found.append(None)
        found.append(n)
    return found


def read_page(queryset: QuerySet, request: HttpRequest) -> tuple[list[Any], dict[str, Any]]:
    """The rows of the asked page and what components/_pagination.html draws.

    422 where the numbers make no sense or the page is too deep, 404 past the end.
    """
    asked = whole_number(request.GET.get("page_size"), DEFAULT_SIZE, "page_size")
    size = min(asked, LARGEST_SIZE)
    number = whole_number(request.GET.get("page"), 1, "page")
    if number > LAST_PAGE:
        raise InvalidInput(
            f"Pages go to {LAST_PAGE}. Narrow the list by a filter, or reverse its order.",
            code="page_too_deep",
        )
    count, exact = bounded_count(queryset)
    start = (number - 1) * size
    rows = page_rows(queryset, total_order(queryset), start, start + size)
    if not rows and number > 1:
        raise Http404
    last = min(LAST_PAGE, max(number, -(-count // size)))
    return rows, {
        "count": count,
        "exact": exact,
        "number": number,
        "size": size,
        "sizes": SIZES,
        "first": start + 1 if rows else 0,
        "last": start + len(rows),
        "numbers": page_numbers(number, last),
        "previous": number - 1 if number > 1 else None,
        "next": number + 1 if number < last else None,
    }


def ordering_of(request: HttpRequest, allowed: Sequence[str], default: str) -> list[str]:
    """The asked ordering where its field is allowed, else the default."""
    asked = request.GET.get("ordering", "")
    return [asked] if asked.lstrip("-") in allowed and asked.count("-") < 2 else [default]

"""One FilterSet for a list's page and API; its form is the filter bar."""

import copy
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from controlplane.kit.errors import InvalidInput
from controlplane.kit.ids import parse_uuid
from controlplane.kit.periods import moment

Options = Iterable[tuple[Any, str]] | Callable[[HttpRequest], Iterable[tuple[Any, str]]]
PERIODS = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
SHOWN_WORDS = 3


class MomentField(forms.CharField):
    """An ISO-8601 time within the years we count in."""

    def to_python(self, value: Any) -> Any:
        """The time in UTC, None for nothing."""
        text = super().to_python(value)
        try:
            return moment(text, "This")
        except InvalidInput as error:
            raise forms.ValidationError(error.message, "invalid") from None


class MomentFilter(django_filters.Filter):
    """A time, for methods that compare with it."""

    field_class = MomentField


class ManyField(forms.MultipleChoiceField):
    """Several values of a repeated parameter; `accepts` says which are well-formed."""

    def __init__(self, *, accepts: Callable[[str], bool], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accepts = accepts

    def to_python(self, value: Any) -> list[str]:
        """The values; a field that was left empty is none."""
        return [text for text in super().to_python(value) if text]

    def valid_value(self, value: Any) -> bool:
        """Whether a value may be asked for."""
        return self.accepts(str(value))


class ManyFilter(django_filters.Filter):
    """`name=a&name=b`: rows whose field is one of these.

    `options` are pairs or a function of the request that gives them. A closed list (`of` None)
    refuses other values; `of` "id" takes any UUID (a foreign one finds nothing), "text" any word.
    """

    field_class = ManyField

    def __init__(
        self,
        field_name: str,
        *,
        options: Options,
        label: str,
        of: str | None = None,
        looks: bool = False,
        array: bool = False,
        **kwargs: Any,
    ) -> None:
        known = set()
        if of is None and not callable(options):
            options = list(options)
            known = {str(value) for value, _ in options}
        accepts = {
            None: known.__contains__,
            "id": lambda value: parse_uuid(value) is not None,
            "text": lambda value: "\x00" not in value and len(value) <= 200,
        }[of]
        super().__init__(field_name=field_name, label=label, accepts=accepts, **kwargs)
        self.options, self.looks, self.array, self.of = options, looks, array, of

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """The rows with one of the values (of an array: with all of them)."""
        if not value:
            return qs
        return qs.filter(**{f"{self.field_name}__{'contains' if self.array else 'in'}": value})

    def options_for(self, request: HttpRequest) -> list[tuple[str, str]]:
        """What the page offers."""
        found = self.options(request) if callable(self.options) else self.options
        return [(str(value), str(text)) for value, text in found]


class Declared(dict[str, Any]):
    """The filters of a class. Each request has filters of its own; a deep copy of them, with all
    their choices, would be a sixth of the work of a list."""

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {name: _renewed(item) for name, item in self.items()}


def _renewed(item: Any) -> Any:
    """A filter as it was declared, without what another request left in it."""
    new = copy.copy(item)
    new.extra = dict(item.extra)
    new.__dict__.pop("_field", None)
    # Set again, so that it asks the new filter and not the one it was declared as.
    new.method = item.method
    return new


class ListFilterSet(django_filters.FilterSet):
    """Search, period and dates, which every list has. `search_fields` are looked into by text,
    `period_field` is the time that period and dates mean."""

    search_fields: ClassVar[tuple[str, ...]] = ("name",)
    period_field: ClassVar[str] = "created_at"

    search = django_filters.CharFilter(method="by_search", max_length=200, label="Search")
    period = django_filters.ChoiceFilter(
        method="by_period",
        label="Any time",
        choices=[(k, v[0]) for k, v in PERIODS.items()],
        empty_label=None,
    )
    created_after = MomentFilter(method="by_after", label="From")
    created_before = MomentFilter(method="by_before", label="Until")

    @classmethod
    def get_filters(cls) -> Declared:
        """As declared; copied lightly for each request."""
        return Declared(super().get_filters())

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Rows with the words in one of `search_fields`, or the row whose id this is."""
        wanted = Q()
        for path in self.search_fields:
            wanted |= Q(**{f"{path}__icontains": value})
        if (found := parse_uuid(value)) is not None:
            wanted |= Q(pk=found)
        return queryset.filter(wanted)

    def by_period(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Rows not older than the period."""
        since = timezone.now() - PERIODS[value][1]
        return queryset.filter(**{f"{self.period_field}__gte": since})

    def by_after(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        """Rows from this time on."""
        return queryset.filter(**{f"{self.period_field}__gte": value})

    def by_before(self, queryset: QuerySet, name: str, value: Any) -> QuerySet:
        """Rows before this time."""
        return queryset.filter(**{f"{self.period_field}__lt": value})


def parameters(filterset_class: Any) -> list[dict[str, Any]]:
    """The filters as OpenAPI describes query parameters."""
    return [
        {"name": name, "in": "query", "required": False, "schema": _schema(item)}
        for name, item in filterset_class.base_filters.items()
    ]


def _schema(item: Any) -> dict[str, Any]:
    if isinstance(item, ManyFilter):
        values: dict[str, Any] = {"type": "string"}
        if item.of == "id":
            values["format"] = "uuid"
        elif item.of is None and not callable(item.options):
            values["enum"] = [str(value) for value, _ in item.options]
        return {"type": "array", "items": values}
    if isinstance(item, MomentFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(item, django_filters.UUIDFilter):
        return {"type": "string", "format": "uuid"}
    if isinstance(item, django_filters.BooleanFilter):
        return {"type": "boolean"}
    if isinstance(item, django_filters.ChoiceFilter):
        return {"type": "string", "enum": [str(value) for value, _ in item.extra["choices"]]}
    return {"type": "string"}


def without(request: HttpRequest, *names: str) -> str:
    """The request's query string without some parameters and without the page."""
    query = request.GET.copy()
    for name in (*names, "page"):
        query.pop(name, None)
    return f"?{query.urlencode()}"


def _chosen_words(words: list[str]) -> str:
    shown = ", ".join(words[:SHOWN_WORDS])
    return f"{shown} +{len(words) - SHOWN_WORDS}" if len(words) > SHOWN_WORDS else shown


def _many_chip(name: str, item: ManyFilter, request: HttpRequest) -> dict[str, Any]:
    chosen = list(dict.fromkeys(value for value in request.GET.getlist(name) if value))
    options = item.options_for(request)
    known = {value for value, _ in options}
    options += [(value, value) for value in chosen if value not in known]
    return {
        "name": name,
        "label": item.label,
        "kind": "many",
        "looks": item.looks,
        # Words beyond those that are offered can be typed.
        "free": item.array,
        "options": [
            {"value": value, "label": text, "checked": value in chosen} for value, text in options
        ],
        "chosen": _chosen_words([text for value, text in options if value in chosen]),
        "clear_url": without(request, name),
    }


def _period_chip(request: HttpRequest) -> dict[str, Any]:
    period = request.GET.get("period", "")
    after, before = request.GET.get("created_after", ""), request.GET.get("created_before", "")
    words = [PERIODS[period][0]] if period in PERIODS else []
    words += [f"from {after}".replace("T", " ")] if after else []
    words += [f"until {before}".replace("T", " ")] if before else []
    options = [("", "Any time"), *((key, text) for key, (text, _) in PERIODS.items())]
    return {
        "name": "period",
        "label": "" if words else "Any time",
        "kind": "period",
        "options": [
            {"value": value, "label": text, "checked": value == period} for value, text in options
        ],
        "chosen": ", ".join(words),
        "after": after[:16],
        "before": before[:16],
        "clear_url": without(request, "period", "created_after", "created_before"),
    }


def bar(filterset: Any, request: HttpRequest) -> dict[str, Any]:
    """What components/_filter_bar.html draws: search, chips, whether anything is chosen."""
    chips = [_period_chip(request)] if "period" in filterset.filters else []
    many = [
        _many_chip(name, item, request)
        for name, item in filterset.filters.items()
        if isinstance(item, ManyFilter)
    ]
    # A filter that offers nothing is for links and the API; it shows once it is used.
    chips += [chip for chip in many if chip["options"] or chip["free"]]
    search = request.GET.get("search", "")
    return {
        "search": search if "search" in filterset.filters else None,
        "chips": chips,
        "active": bool(search or any(chip["chosen"] for chip in chips)),
        "clear_url": without(
            request, "search", "created_after", "created_before", *(chip["name"] for chip in chips)
        ),
    }

"""What can be done to many rows of a list at once, and to which: declared by each app."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When
from django.http import QueryDict
from django.utils import timezone
from django.utils.module_loading import import_string

from controlplane.kit.doors import Acting
from controlplane.kit.errors import DomainError, InvalidInput, from_django
from controlplane.kit.filters import PERIODS
from controlplane.kit.ids import parse_uuid
from controlplane.kit.pagination import EXACT_TO, bounded_count
from controlplane.kit.permissions import permission_name

# Up to so many rows are done at once, while the person waits, and looked at one by one before.
AT_ONCE = 100
MOST_IDS = 10_000
# Parameters of a list's address that choose no rows.
NOT_FILTERS = ("page", "page_size", "ordering", "cursor", "view", "export", "selected", "rows")
GONE = "It is not there any more, or you may not see it."


@dataclass(frozen=True)
class Act:
    """One verb on many rows. `verb` is what the permission is called;
    `perform(row, actor, options)` calls the object's own service. `refusals` are pairs of a
    sentence and a condition that the database can count; `look(row, actor)` finds what only the row
    itself can tell. `form_class` asks for options."""

    name: str
    label: str
    verb: str
    perform: Callable[[Any, Any, Mapping[str, Any]], None]
    done: str
    icon: str = ""
    refusals: Sequence[tuple[str, Q]] = ()
    look: Callable[[Any, Any], str | None] | None = None
    form_class: Any = None
    danger: bool = False
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """Rows by id, or all that a list's filter finds: its query string, in a project or in all."""

    ids: tuple[UUID, ...] | None = None
    query: str = ""
    project_id: UUID | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is stored."""
        if self.ids is not None:
            return {"ids": [str(key) for key in self.ids]}
        return {"query": self.query, "project": str(self.project_id) if self.project_id else None}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Selection":
        """From what was stored."""
        if "ids" in stored:
            return cls(ids=tuple(UUID(text) for text in stored["ids"]))
        return cls(query=stored["query"], project_id=parse_uuid(stored["project"]))


@dataclass
class Preview:
    """What would happen: how many rows, whether that was counted to the end, how many of them would
    be done, and why the others would not."""

    total: int
    exact: bool
    doable: int
    refusals: list[tuple[str, int]] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many would not be done."""
        return self.total - self.doable

    def as_dict(self) -> dict[str, Any]:
        """As the API tells it."""
        reasons = [{"reason": reason, "count": count} for reason, count in self.refusals]
        return {
            "total": self.total,
            "total_exact": self.exact,
            "doable": self.doable,
            "refused": self.refused,
            "reasons": reasons,
        }


def ids_of(texts: Sequence[Any]) -> Selection:
    """The rows named by these texts; 422 where there are none, too many, or one is no id."""
    if not texts:
        raise InvalidInput.of("ids", "Choose at least one.", "required")
    if len(texts) > MOST_IDS:
        raise InvalidInput.of("ids", f"Name at most {MOST_IDS}, or give the filter.", "too_many")
    keys = [None if isinstance(text, bool) else parse_uuid(text) for text in texts]
    if None in keys:
        raise InvalidInput.of("ids", "Each of ids must be an id.")
    return Selection(ids=tuple(sorted({key for key in keys if key is not None})))


def frozen(query: QueryDict) -> str:
    """A list's query string as it is kept: without what chooses no rows, and a period counted from
    now as the time it begins at."""
    kept = query.copy()
    for name in NOT_FILTERS:
        kept.pop(name, None)
    period = kept.pop("period", [""])[-1]
    if period in PERIODS and not kept.get("created_after"):
        kept["created_after"] = (timezone.now() - PERIODS[period][1]).isoformat()
    return kept.urlencode()


class Bulk:
    """The verbs of one list. `table` is its name in settings.BULK and in addresses."""

    table: ClassVar[str]
    model: ClassVar[Any]
    filterset_class: ClassVar[Any]
    acts: ClassVar[Sequence[Act]]

    def act(self, name: str) -> Act:
        """A verb by its name; 422 where there is none of that name."""
        for act in self.acts:
            if act.name == name:
                return act
        known = ", ".join(act.name for act in self.acts)
        raise InvalidInput.of("action", f"action is one of {known}.", "invalid_choice")

    def offered(self, user: Any, project: Any) -> list[Act]:
        """The verbs the user's role in a project allows."""
        return [a for a in self.acts if user.has_perm(permission_name(a.verb, self.model), project)]

    def rows(self, user: Any) -> QuerySet:
        """The rows a person may see; override to select related rows."""
        return self.model.objects.visible_to(user)

    def chosen(self, user: Any, selection: Selection) -> QuerySet:
        """The rows of a selection, in no order; 422 where the filter has a bad value."""
        rows = self.rows(user).order_by()
        if selection.ids is not None:
            return rows.filter(pk__in=selection.ids)
        if selection.project_id is not None:
            rows = rows.filter(project_id=selection.project_id)
        query = QueryDict(selection.query)
        found = self.filterset_class(query, queryset=rows, request=Acting(user, query_params=query))
        if not found.is_valid():
            raise from_django(DjangoValidationError(found.errors.as_data()))
        return found.qs

    def refusal(self, act: Act, user: Any, row: Any) -> str | None:
        """Why a row would be refused; None where nothing is known against it."""
        if not user.has_perm(permission_name(act.verb, self.model), row):
            return str(user.refusal(row))
        return act.look(row, user) if act.look else None

    def preview(self, act: Act, user: Any, selection: Selection) -> Preview:
        """What would happen, counted in two queries; a small selection is looked at row by row."""
        rows = self.chosen(user, selection)
        count, exact = bounded_count(rows)
        if not exact:
            rows = self.rows(user).order_by().filter(pk__in=rows.values("pk")[:EXACT_TO])
        why = self._why(act, user)
        counts = dict(
            rows.annotate(_why=why).values_list("_why").annotate(n=Count("pk")).order_by("_why")
        )
        doable = counts.pop("", 0)
        if act.look and doable and count <= AT_ONCE:
            for row in rows.annotate(_why=why).filter(_why=""):
                if reason := self.refusal(act, user, row):
                    counts[reason] = counts.get(reason, 0) + 1
                    doable -= 1
        if selection.ids is not None and (gone := len(selection.ids) - count) > 0:
            counts[GONE] = gone
            count += gone
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return Preview(count, exact, doable, ordered)

    def _why(self, act: Act, user: Any) -> Case:
        """In the database: the sentence that refuses a row, empty for none."""
        whens = []
        permission = permission_name(act.verb, self.model)
        for project_id in user.project_roles():
            somewhere = self.model(project_id=project_id)
            if not user.has_perm(permission, somewhere):
                reason = Value(str(user.refusal(somewhere)))
                whens.append(When(Q(project_id=project_id), then=reason))
        whens += [When(condition, then=Value(reason)) for reason, condition in act.refusals]
        return Case(*whens, default=Value(""), output_field=CharField())


def find(table: str) -> Bulk:
    """The verbs of a list by its name; 404 where it has none."""
    path = settings.BULK.get(table)
    if path is None:
        raise DomainError(f"Nothing is done in bulk to {table}.", code="not_found", status=404)
    return import_string(path)()


def checked_options(act: Act, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a verb by its form; 422 where they are missing, wrong or unknown."""
    if act.form_class is None:
        if given:
            raise InvalidInput.of(f"options.{next(iter(given))}", "Unknown field.", "unknown_field")
        return {}
    form = act.form_class(given)
    for name in given:
        if name not in form.fields:
            raise InvalidInput.of(f"options.{name}", "Unknown field.", "unknown_field")
    if not form.is_valid():
        faults = form.errors.as_data()
        named = {f"options.{name}".removesuffix(".__all__"): faults[name] for name in faults}
        raise from_django(DjangoValidationError(named))
    return dict(form.cleaned_data)

"""The generic pages that show: the door every page has, the list, the detail with tabs."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views import View

from controlplane.kit import bulk_views, exporting, filters, pages, saved, tables
from controlplane.kit.errors import from_django
from controlplane.kit.fragments import fragment_target, wants_fragment
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.tables import Column, Table, Verb


class KitView(View):
    """A door: starts from the rows the user may see, then asks for the permission."""

    model: ClassVar[Any]
    verb: ClassVar[str] = "view"

    @property
    def project(self) -> Any:
        """The current project; None for somebody without any."""
        return self.request.place.project

    def rows(self) -> QuerySet:
        """The rows the user may see."""
        return self.model.objects.visible_to(self.request.user)

    def in_project(self, queryset: QuerySet) -> QuerySet:
        """Only those of the current project."""
        return queryset.of_project(self.project.pk)

    def get_row(self) -> Any:
        """The row of the path: 404 where absent or invisible, 403 where the role forbids."""
        key = parse_uuid(self.kwargs["pk"])
        row = self.rows().filter(pk=key).first() if key else None
        if row is None:
            raise Http404
        require(self.request.user, permission_name(self.verb, self.model), row)
        self.follow(row)
        return row

    def follow(self, row: Any) -> None:
        """A link into another project of the user's makes that project the current one."""
        place = self.request.place
        project_id = row.pk if self.model.project_path == "pk" else getattr(row, "project_id", None)
        if project_id and place.project and place.project.pk != project_id:
            place.choose(project_id)

    def may(self, verb: str, target: Any) -> bool:
        """Whether the user may do this to a row, or to rows of a project."""
        return bool(self.request.user.has_perm(permission_name(verb, self.model), target))

    @property
    def noun(self) -> str:
        """What one row is called."""
        return str(self.model._meta.verbose_name)

    @property
    def event(self) -> str:
        """The event that tells a page that a row changed."""
        return f"{self.model._meta.model_name}-changed"


class ListView(KitView):
    """A table with filters, order and pages; all of it in the URL."""

    columns: ClassVar[Sequence[Column]]
    # What a file of the list holds: paths of attributes, or (path, name); without it the id and
    # the columns.
    exported: ClassVar[Sequence[str | tuple[str, str]]] = ()
    filterset_class: ClassVar[Any] = None
    ordering: ClassVar[str] = "-created_at"
    title: ClassVar[str] = ""
    template_name: ClassVar[str] = "kit/list.html"
    environment_path: ClassVar[str] = ""
    live_new: ClassVar[str] = ""
    live_changed: ClassVar[str] = ""
    # Types of events on which the whole table is fetched anew, for lists whose rows are no runs.
    live_whole: ClassVar[str] = ""
    # The name in settings.BULK of what can be done to many rows at once.
    bulk: ClassVar[str] = ""
    empty: ClassVar[Mapping[str, str]] = {}

    def get_queryset(self) -> QuerySet:
        """All rows of the list before filtering; override to select related rows."""
        return self.rows()

    def get_exported(self) -> QuerySet:
        """All rows of a file before filtering; override where it holds more than the table."""
        return self.get_queryset()

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The page, its table, single rows of it (`?rows=`), or a file of it (`?export=`)."""
        if self.project is None:
            return render(request, "kit/no_project.html", {"title": self.get_title()})
        require(request.user, permission_name(self.verb, self.model), self.project)
        if "export" in request.GET:
            return exporting.answer(self)
        if not wants_fragment(request) and (address := saved.opening(request)):
            return HttpResponseRedirect(address)
        return self.listing(request)

    def listing(self, request: HttpRequest) -> HttpResponse:
        """The page or a part of it."""
        queryset = self.in_project(self.get_queryset())
        if wanted := request.GET.get("rows"):
            keys = [key for text in wanted.split(",")[:200] if (key := parse_uuid(text))]
            table = self.get_table(list(queryset.filter(pk__in=keys)), [])
            return render(request, "kit/_rows.html", {"table": table})
        context = self.get_context(queryset)
        if wants_fragment(request):
            return render(request, "kit/_list_answer.html", context)
        return render(request, self.template_name, context)

    def narrowed(self, queryset: QuerySet) -> tuple[QuerySet, Any]:
        """The filtered rows and the FilterSet; 422 where a value is bad."""
        environment = self.request.place.environment
        if self.environment_path and environment and "environment" not in self.request.GET:
            queryset = queryset.filter(**{self.environment_path: environment})
        if self.filterset_class is None:
            return queryset, None
        found = self.filterset_class(self.request.GET, queryset=queryset, request=self.request)
        if not found.is_valid():
            raise from_django(DjangoValidationError(found.errors.as_data()))
        return found.qs, found

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """What the page and its fragment are drawn from."""
        queryset, filterset = self.narrowed(queryset)
        order = pages.ordering_of(
            self.request, [c.sort for c in self.columns if c.sort], self.ordering
        )
        rows, page = pages.read_page(queryset.order_by(*order), self.request)
        query = self.request.GET
        kept = [(name, query[name]) for name in ("ordering", "page_size") if name in query]
        views = saved.menu(self.request)
        if views and views["opens"]:
            # Without a filter the address still says that the whole list is meant.
            kept.append(("view", saved.WHOLE))
        return {
            "title": self.get_title(),
            "noun": self.noun,
            "event": self.event,
            "path": self.request.path,
            "full_path": self.request.get_full_path(),
            "table": self.get_table(rows, order),
            "bulk": bulk_views.bar(self, page),
            "page": page,
            "kept": kept,
            "views": views,
            "bar": self.get_bar(filterset, views),
            "actions": self.get_actions(),
            "empty": self.empty,
            "live_new": self.live_new,
            "live_changed": self.live_changed,
            "live_whole": self.live_whole,
            "summary": self.get_summary(),
        }

    def get_bar(self, filterset: Any, views: dict[str, Any] | None) -> dict[str, Any] | None:
        """The filter bar; where a view opens by itself, clearing leads to the whole list."""
        if filterset is None:
            return None
        bar = filters.bar(filterset, self.request)
        if views and views["opens"] and bar["clear_url"] == "?":
            bar["clear_url"] = f"?view={saved.WHOLE}"
        return bar

    def get_table(self, rows: list[Any], order: Sequence[str]) -> Table:
        """The table of these rows."""
        prepared = self.prepare(rows)
        body = [
            {**tables.body_row(self.columns, row, self.get_menu(row)), "selects": bool(self.bulk)}
            for row in prepared
        ]
        return Table(
            caption=self.get_title(),
            columns=tables.head(self.columns, order),
            rows=body,
            has_menus=any(row["menu"] for row in body),
            selects=bool(self.bulk),
        )

    def prepare(self, rows: list[Any]) -> list[Any]:
        """A last look at the rows of the page, to give them what their cells show."""
        return rows

    def get_title(self) -> str:
        """The heading of the page."""
        return self.title or str(self.model._meta.verbose_name_plural).capitalize()

    def get_summary(self) -> str:
        """The line under the heading."""
        return ""

    def get_actions(self) -> list[Verb]:
        """The buttons beside the heading."""
        return []

    def get_menu(self, row: Any) -> list[Verb]:
        """What may be done to one row from the list."""
        return []


class DetailView(KitView):
    """One thing with tabs; the tab is in the URL. `tabs` maps ?tab= to (label, fragment);
    `fragments` maps the id of a part that changes alone to its template."""

    template_name: ClassVar[str] = "kit/detail.html"
    tabs: ClassVar[Mapping[str, tuple[str, str]]] = {}
    fragments: ClassVar[Mapping[str, str]] = {}
    crumb: ClassVar[tuple[str, str]] = ("", "")

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The page, or the part of it that htmx is about to replace."""
        self.row = self.get_row()
        self.tab = request.GET.get("tab", next(iter(self.tabs), ""))
        if self.tabs and self.tab not in self.tabs:
            raise Http404
        context = self.get_context()
        target = fragment_target(request)
        if target in self.fragments:
            return render(request, self.fragments[target], context)
        if wants_fragment(request):
            return render(request, "kit/_facet.html", context)
        return render(request, self.template_name, context)

    def get_context(self) -> dict[str, Any]:
        """What the page is drawn from; override to add what the tab shows."""
        counts = self.get_counts()
        return {
            "object": self.row,
            "tab": self.tab,
            "crumb": {"label": self.crumb[0], "url": self.crumb[1]},
            "actions": self.get_actions(),
            "facts": self.get_facts(),
            "panel": self.tabs[self.tab][1] if self.tabs else "",
            "tabs": [
                {
                    "label": label,
                    "url": f"?tab={key}",
                    "active": key == self.tab,
                    "count": counts.get(key),
                }
                for key, (label, _) in self.tabs.items()
            ],
        }

    def get_counts(self) -> Mapping[str, int]:
        """Figures beside the names of tabs."""
        return {}

    def get_facts(self) -> list[dict[str, Any]]:
        """The strip under the head: {label, value, note}."""
        return []

    def get_actions(self) -> list[Verb]:
        """The buttons beside the heading."""
        return []

"""The trash: what was deleted and can be brought back, or ended for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views import View

from agents.api import AgentViewSet
from agents.views import AgentDelete
from controlplane.kit.dialogs import DeleteDialog
from controlplane.kit.filters import ListFilterSet
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import permission_name, require
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import ListView
from projects.api import ProjectViewSet
from projects.models import Project
from projects.settings_views import ProjectDelete
from tools.api import ToolViewSet
from tools.server_api import ToolServerViewSet
from tools.server_views import ServerDelete
from tools.views import ToolDelete
from workflows.api import WorkflowViewSet
from workflows.views import WorkflowDelete


class TrashFilter(ListFilterSet):
    """?search=&period=&created_after=&created_before=, by when it was deleted."""

    search_fields: ClassVar[tuple[str, ...]] = ("name", "slug")
    period_field = "deleted_at"


class ServerTrashFilter(TrashFilter):
    """The same of servers, which have no slug."""

    search_fields = ("name", "url")


@dataclass(frozen=True)
class Kind:
    """One sort of things that go to the trash: its API, and the dialog that knows what hangs on
    them."""

    label: str
    viewset: Any
    dialog: Any
    filterset: Any = TrashFilter

    @property
    def model(self) -> Any:
        """The rows."""
        return self.viewset.model


KINDS: Mapping[str, Kind] = {
    "tools": Kind("Tools", ToolViewSet, ToolDelete),
    "servers": Kind("Tool servers", ToolServerViewSet, ServerDelete, ServerTrashFilter),
    "agents": Kind("Agents", AgentViewSet, AgentDelete),
    "workflows": Kind("Workflows", WorkflowViewSet, WorkflowDelete),
    "projects": Kind("Projects", ProjectViewSet, ProjectDelete),
}


class OfKind:
    """A page about one kind: /trash/<kind>/…"""

    kind: Kind
    request: HttpRequest

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """404 for a kind there is not."""
        super().setup(request, *args, **kwargs)  # type: ignore[misc]
        if kwargs["kind"] not in KINDS:
            raise Http404
        self.kind = KINDS[kwargs["kind"]]
        self.model = self.kind.model

    def rows(self) -> QuerySet:
        """What the user deleted or could have."""
        return self.model.objects.in_trash(self.request.user)

    def get_row(self) -> Any:
        """The row of the path: 404 where it is not in the trash, 403 where the role forbids."""
        key = parse_uuid(self.kwargs["pk"])  # type: ignore[attr-defined]
        row = self.rows().filter(pk=key).first() if key else None
        if row is None:
            raise Http404
        if self.model is Project:
            self.door().require_owner(row)
        else:
            require(self.request.user, permission_name("delete", self.model), row)
        return row

    def door(self) -> Any:
        """The API's viewset: both doors have one set of rules."""
        return self.kind.viewset(request=self.request, kwargs={}, action="restore")

    def list_url(self) -> str:
        """The list it stood in."""
        return reverse("trash:list", args=[self.kwargs["kind"]])  # type: ignore[attr-defined]


class Trash(View):
    """Begins with the tools."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """To the first list."""
        return HttpResponseRedirect(reverse("trash:list", args=["tools"]))


class TrashList(OfKind, ListView):
    """What of one kind is in the trash."""

    title = "Trash"
    template_name = "trash/list.html"
    filterset_class = TrashFilter
    ordering = "-deleted_at"
    columns = (
        Column("name", "Name", narrow="lead", sort="name"),
        Column("slug", "Slug", kind="code"),
        Column("deleted_at", "Deleted", kind="ago", narrow="side", sort="deleted_at"),
        Column("created_at", "Made", kind="ago", sort="created_at"),
    )
    empty: ClassVar[Mapping[str, str]] = {
        "title": "Nothing in the trash",
        "text": "What is deleted stands here, until somebody brings it back or ends it for good.",
        "icon": "trash",
    }

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Filtered by what this kind has."""
        super().setup(request, *args, **kwargs)
        self.filterset_class = self.kind.filterset  # type: ignore[misc]

    def get(self, request: HttpRequest, kind: str) -> HttpResponseBase:  # type: ignore[override]
        """Deleted projects are listed for who has no other, too."""
        return self.listing(request) if self.model is Project else super().get(request)

    def in_project(self, queryset: QuerySet) -> QuerySet:
        """Of the current project; of projects all one was in."""
        return queryset if self.model is Project else super().in_project(queryset)

    def get_context(self, queryset: QuerySet) -> dict[str, Any]:
        """With the kinds."""
        sections = [
            {
                "label": kind.label,
                "url": reverse("trash:list", args=[name]),
                "active": kind is self.kind,
            }
            for name, kind in KINDS.items()
        ]
        return {**super().get_context(queryset), "sections": sections}

    def get_menu(self, row: Any) -> list[Verb]:
        """Back, or the end."""
        if self.model is not Project and not self.may("delete", row):
            return []
        args = [self.kwargs["kind"], row.pk]
        back = reverse("trash:restore", args=args)
        gone = reverse("trash:delete", args=args)
        return [
            Verb("Restore", back, icon="arrow-back-up", post=True),
            Verb("Delete for good", gone, icon="trash", dialog=True, danger=True),
        ]


class TrashRestore(OfKind, ActionView):
    """Bringing something back."""

    def post(self, request: HttpRequest, kind: str, pk: str) -> HttpResponse:  # type: ignore[override]
        """By the rules of the API."""
        return super().post(request, pk)

    def perform(self, row: Any) -> tuple[str, str | None]:
        """Where it stood before."""
        self.door().bring_back(row)
        return f"{self.noun.capitalize()} {row} is back.", None

    def get_back(self, row: Any) -> str:
        """The trash."""
        return self.list_url()


class TrashDelete(OfKind, DeleteDialog):
    """The end for good of what is in the trash."""

    only_for_good = True

    def get(self, request: HttpRequest, kind: str, pk: str) -> HttpResponse:  # type: ignore[override]
        """The question."""
        return super().get(request, pk)

    def post(self, request: HttpRequest, kind: str, pk: str) -> HttpResponse:  # type: ignore[override]
        """The deed."""
        return super().post(request, pk)

    def get_door(self) -> Any:
        """The API's viewset."""
        return self.door()

    def get_hangers(self, row: Any) -> list[dict[str, Any]]:
        """As in the dialog that put it here."""
        found: list[dict[str, Any]] = self.kind.dialog().get_hangers(row)
        return found

    def get_list_url(self, row: Any) -> str:
        """The trash."""
        return self.list_url()

    def get_back(self, row: Any) -> str:
        """The trash."""
        return self.list_url()

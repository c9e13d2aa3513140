"""The pages of tools."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import wants_fragment
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import DetailView, ListView
from tools import services
from tools.api import ToolViewSet
from tools.filters import ToolFilter
from tools.forms import TestForm, ToolForm
from tools.models import Tool
from tools.sample import sample
from tools.usage import usage

USAGE_PERIOD = timedelta(days=30)


class ToolList(ListView):
    """The registry."""

    model = Tool
    title = "Tools"
    filterset_class = ToolFilter
    ordering = "name"
    bulk = "tools"
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("slug", "Slug", kind="code"),
        Column("kind", "Kind", template="tools/_kind.html"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("effect_class", "If repeated"),
        Column("stakes", "Stakes"),
        Column("version", "Version", kind="count"),
        Column("tags", "Tags", kind="tags", narrow="wide-only"),
        Column("updated_at", "Changed", kind="ago", sort="updated_at"),
    )
    exported = (
        "id", "slug", "name", "kind", "status", "description", "tags", "effect_class", "stakes",
        "version", "config", "input_schema", "output_schema", "rate_limit", "timeout_seconds",
        "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No tools yet",
        "text": "A tool is something agents and workflows can call: an HTTP request, a function.",
        "icon": "tool",
    }

    def get_queryset(self) -> QuerySet:
        """With the current version."""
        return super().get_queryset().select_related("current")

    def get_actions(self) -> list[Verb]:
        """A new tool."""
        if not self.may("add", self.project):
            return []
        return [Verb("New tool", reverse("tools:create"), icon="plus", dialog=True, kind="primary")]

    def get_menu(self, row: Tool) -> list[Verb]:
        """Changing and deleting."""
        return tool_verbs(row, self.may)


def tool_verbs(tool: Tool, may: Any) -> list[Verb]:
    """What this user may do to a tool."""
    verbs = []
    if may("delete", tool):
        url = reverse("tools:delete", args=[tool.pk])
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True, kind="danger"))
    if may("change", tool):
        url = reverse("tools:edit", args=[tool.pk])
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    return verbs


class ToolPage(DetailView):
    """One tool: definition, test console, usage, versions."""

    model = Tool
    crumb = ("Tools", "/tools/")
    tabs = {
        "definition": ("Definition", "tools/_definition.html"),
        "test": ("Test", "tools/_test.html"),
        "usage": ("Usage", "tools/_usage.html"),
        "versions": ("Versions", "tools/_versions.html"),
    }

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")

    def get_counts(self) -> Mapping[str, int]:
        """How many versions there are."""
        return {"versions": self.row.version or 0}

    def get_actions(self) -> list[Verb]:
        """Changing and deleting."""
        return tool_verbs(self.row, self.may)

    def get_facts(self) -> list[dict[str, Any]]:
        """What it is and how it may be called."""
        tool = self.row
        limit = tool.rate_limit
        rate = f"{limit['limit']} in {limit['per_seconds']} s" if limit else "none"
        return [
            {"label": "Kind", "value": tool.get_kind_display()},
            {"label": "Slug", "value": tool.slug},
            {"label": "Version", "value": tool.version},
            {"label": "If repeated", "value": tool.get_effect_class_display()},
            {"label": "Stakes", "value": tool.get_stakes_display()},
            {"label": "Rate limit", "value": rate},
            {"label": "Time limit", "value": f"{tool.timeout_seconds:g} s"},
        ]

    def get_context(self) -> dict[str, Any]:
        """And what the tab shows."""
        context = super().get_context()
        if self.tab == "versions":
            context["versions"] = self.row.versions.all()[:100]
        elif self.tab == "usage":
            now = timezone.now()
            context["usage"] = usage(self.row, now - USAGE_PERIOD, now)
        elif self.tab == "test":
            arguments = sample(self.row.input_schema) or {}
            context["form"] = TestForm(initial={"arguments": arguments}, row=self.row)
            context["may_test"] = self.may("test", self.row)
        return context


class ToolCreate(FormDialog):
    """A new tool."""

    model = Tool
    verb = "add"
    form_class = ToolForm
    viewset_class = ToolViewSet
    wide = True


class ToolEdit(ToolCreate):
    """Changing a tool; another definition becomes the next version."""

    verb = "change"

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")


class ToolDelete(DeleteDialog):
    """Deleting a tool."""

    model = Tool
    viewset_class = ToolViewSet

    def get_hangers(self, row: Tool) -> list[dict[str, Any]]:
        """What goes with it for good."""
        return [
            {"label": "Versions", "count": row.versions.count()},
            {"label": "Recorded calls", "count": row.calls.count()},
        ]


class ToolTest(FormDialog):
    """One real call from the test console; nothing of it is kept."""

    model = Tool
    verb = "test"
    form_class = TestForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The console is a tab of the tool's page."""
        return ToolPage.as_view()(request, pk=self.row.pk)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Call, and show what was sent and what came back."""
        form = self.get_form(data=request.POST)
        result, fault = None, ""
        if form.is_valid():
            try:
                result = services.try_call(
                    self.row, form.cleaned_data["arguments"], actor=request.user
                )
            except DomainError as error:
                fault = error.message
        else:
            fault = " ".join(form.errors.get("arguments", ["This is no JSON."]))
        context = {"object": self.row, "form": form, "result": result, "fault": fault}
        name = "tools/_test_result.html" if wants_fragment(request) else "tools/test.html"
        return render(request, name, context)

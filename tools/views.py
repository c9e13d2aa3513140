"""The pages of tools."""

import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from controlplane.kit.comparison import compare
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.errors import DomainError
from controlplane.kit.fragments import wants_fragment
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import DetailView, ListView
from tools import recovery, services
from tools.api import ToolViewSet
from tools.console import PREFIX, ArgumentsForm, RawForm, can_be_form
from tools.filters import ToolFilter
from tools.forms import ToolForm
from tools.kinds import kind
from tools.models import Tool
from tools.sample import sample
from tools.usage import bars, named, usage
from tools.version_views import change_of

PERIODS = (7, 30, 90)
VERSIONS_SHOWN = 50


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
        Column("shown", "Status", kind="status", narrow="side"),
        Column("effect_class", "If repeated"),
        Column("stakes", "Stakes"),
        Column("version", "Version", kind="count", narrow="wide-only"),
        Column("tags", "Tags", kind="tags", narrow="wide-only"),
        Column("updated_at", "Changed", kind="ago", sort="updated_at"),
    )
    exported = (
        "id", "slug", "name", "kind", "status", "description", "tags", "effect_class",
        "effect_check", "effect_undo", "stakes", "version", "config", "input_schema",
        "output_schema", "rate_limit", "timeout_seconds", "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No tools yet",
        "text": "A tool is something agents and workflows can call: an HTTP request, a function.",
        "icon": "tool",
    }

    def get_queryset(self) -> QuerySet:
        """With the current version."""
        return super().get_queryset().select_related("current")

    def prepare(self, rows: list[Tool]) -> list[Tool]:
        """What is in quarantine says so instead of its status."""
        for row in rows:
            row.shown = row.status if row.approval in (None, "approved") else row.approval
        return rows

    def get_actions(self) -> list[Verb]:
        """The servers, and a new tool."""
        found = [Verb("Tool servers", reverse("tools:servers:list"), icon="server")]
        if self.may("add", self.project):
            url = reverse("tools:create")
            found.append(Verb("Import", reverse("tools:import"), icon="upload", dialog=True))
            found.append(Verb("New tool", url, icon="plus", dialog=True, kind="primary"))
        return found

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
    template_name = "tools/detail.html"
    tabs = {
        "definition": ("Definition", "tools/_definition.html"),
        "test": ("Test", "tools/_test.html"),
        "usage": ("Usage", "tools/_usage.html"),
        "users": ("Used by", "tools/_users.html"),
        "versions": ("Versions", "tools/_versions.html"),
    }

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project", "server")

    def get_counts(self) -> Mapping[str, int]:
        """How many versions there are, and how many use it."""
        self.users = recovery.all_users(self.row)
        return {"versions": self.row.version or 0, "users": len(self.users)}

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
            *(
                {"label": label, "value": named["tool"]}
                for label, named in (
                    ("Asked by", tool.effect_check),
                    ("Undone by", tool.effect_undo),
                )
                if named
            ),
            {"label": "Stakes", "value": tool.get_stakes_display()},
            {"label": "Rate limit", "value": rate},
            {"label": "Time limit", "value": f"{tool.timeout_seconds:g} s"},
        ]

    def get_context(self) -> dict[str, Any]:
        """And what the tab shows."""
        context = super().get_context()
        context |= change_of(self.row)
        context["may_approve"] = self.may("approve", self.row)
        if self.tab == "versions":
            context["versions"] = self.versions()
            context["may_change"] = self.may("change", self.row)
        elif self.tab == "usage":
            context |= self.used()
        elif self.tab == "users":
            context["users"] = self.users
        elif self.tab == "test":
            context |= console(self.request, self.row, self.may("test", self.row))
        return context

    def versions(self) -> list[Any]:
        """The newest ones, each with what it changed against the one before."""
        rows = list(self.row.versions.all()[: VERSIONS_SHOWN + 1])
        for newer, older in itertools.pairwise(rows):
            newer.changes = compare(older.told(), newer.told())
        return rows[:VERSIONS_SHOWN]

    def used(self) -> dict[str, Any]:
        """The figures of a period that the address names, with bars for its days."""
        now = timezone.now()
        days = next((d for d in PERIODS if self.request.GET.get("days") == str(d)), PERIODS[1])
        found = usage(self.row, now - timedelta(days=days), now)
        return {
            "usage": found,
            "days": days,
            "periods": PERIODS,
            "bars": bars(found["days"], now.date(), days),
            "highest": max((day["calls"] for day in found["days"]), default=0),
            "by_agent": named(found["agents"], "agent"),
            "by_workflow": named(found["workflows"], "workflow"),
        }


def console(request: HttpRequest, tool: Tool, may_test: bool) -> dict[str, Any]:
    """The form of the test console: fields where the schema names them, else JSON."""
    schema = kind(tool.kind).input_schema(tool.config, tool.input_schema)
    can_choose = can_be_form(schema)
    is_raw = not can_choose or request.GET.get("as") == "json"
    if is_raw:
        form: Any = RawForm(initial={"arguments": sample(schema) or {}}, row=tool)
    else:
        form = ArgumentsForm(row=tool)
    return {"form": form, "is_raw": is_raw, "can_choose": can_choose, "may_test": may_test}


class ToolCreate(FormDialog):
    """A new tool."""

    model = Tool
    verb = "add"
    form_class = ToolForm
    viewset_class = ToolViewSet
    wide = True

    def extra_context(self, form: ToolForm) -> dict[str, Any]:
        """The definition as the fields of its kind."""
        query = {**self.request.GET.dict(), "as": "json"}
        as_json = f"{self.request.path}?{urlencode(query)}"
        return {"form_template": "tools/_form.html", "as_json": as_json}


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
    form_class = RawForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The console is a tab of the tool's page."""
        return ToolPage.as_view()(request, pk=self.row.pk)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Call, and show what was sent and what came back."""
        schema = kind(self.row.kind).input_schema(self.row.config, self.row.input_schema)
        is_raw = "arguments" in request.POST or not can_be_form(schema)
        form = (RawForm if is_raw else ArgumentsForm)(data=request.POST, row=self.row)
        result, fault, faults = None, "", []
        if form.is_valid():
            try:
                result = services.try_call(self.row, form.given(), actor=request.user)
            except DomainError as error:
                fault = error.message
                faults = [one.as_dict() for one in error.errors or ()]
        else:
            fault = "These arguments cannot be read."
            faults = [
                {"field": name.removeprefix(PREFIX), "message": " ".join(words)}
                for name, words in form.errors.items()
            ]
        context = {"object": self.row, "result": result, "fault": fault, "faults": faults}
        name = "tools/_test_result.html" if wants_fragment(request) else "tools/test.html"
        return render(request, name, context)

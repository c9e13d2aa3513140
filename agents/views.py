"""The pages of agents."""

import itertools
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from agents.api import AgentViewSet
from agents.comparison import compare
from agents.filters import AgentFilter
from agents.forms import AgentForm
from agents.models import Agent, Instance
from agents.wellbeing import health
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.tables import Column, Verb
from controlplane.kit.views import DetailView, ListView

VERSIONS_SHOWN = 100
INSTANCES_SHOWN = 50


class AgentList(ListView):
    """The registry."""

    model = Agent
    title = "Agents"
    filterset_class = AgentFilter
    ordering = "name"
    bulk = "agents"
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("slug", "Slug", kind="code"),
        Column("kind", "Kind"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("config.provider", "Provider"),
        Column("config.model", "Model"),
        Column("version", "Version", kind="count"),
        Column("tags", "Tags", kind="tags", narrow="wide-only"),
        Column("updated_at", "Changed", kind="ago", sort="updated_at"),
    )
    exported = (
        "id", "slug", "name", "kind", "status", "description", "tags", "version", "config",
        "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No agents yet",
        "text": "An agent is a model with instructions and tools, or a program that does the work.",
        "icon": "robot",
    }

    def get_queryset(self) -> QuerySet:
        """With the current version."""
        return super().get_queryset().select_related("current")

    def get_actions(self) -> list[Verb]:
        """A new agent."""
        if not self.may("add", self.project):
            return []
        url = reverse("agents:create")
        return [Verb("New agent", url, icon="plus", dialog=True, kind="primary")]

    def get_menu(self, row: Agent) -> list[Verb]:
        """Changing and deleting."""
        return agent_verbs(row, self.may)


def agent_verbs(agent: Agent, may: Any) -> list[Verb]:
    """What this user may do to an agent."""
    verbs = []
    if may("delete", agent):
        url = reverse("agents:delete", args=[agent.pk])
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True, kind="danger"))
    if may("change", agent):
        url = reverse("agents:edit", args=[agent.pk])
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    return verbs


class AgentPage(DetailView):
    """One agent: how it is, what it is made of, its versions and instances."""

    model = Agent
    template_name = "agents/detail.html"
    crumb = ("Agents", "/agents/")
    tabs = {
        "overview": ("Overview", "agents/_overview.html"),
        "versions": ("Versions", "agents/_versions.html"),
        "instances": ("Instances", "agents/_instances.html"),
    }
    fragments = {"agent-health": "agents/_health.html", "agent-instances": "agents/_instances.html"}

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")

    def get_counts(self) -> Mapping[str, int]:
        """How many versions there are."""
        return {"versions": self.row.version or 0}

    def get_actions(self) -> list[Verb]:
        """Changing and deleting."""
        return agent_verbs(self.row, self.may)

    def get_facts(self) -> list[dict[str, Any]]:
        """What it is."""
        agent, config = self.row, self.row.config
        found = [
            {"label": "Kind", "value": agent.get_kind_display()},
            {"label": "Slug", "value": agent.slug},
            {"label": "Version", "value": agent.version},
        ]
        for name in ("provider", "model"):
            if config.get(name):
                found.append({"label": name.capitalize(), "value": config[name]})
        if tools := config.get("tools"):
            found.append({"label": "Tools", "value": ", ".join(tools)})
        return found

    def get_context(self) -> dict[str, Any]:
        """And what the tab shows."""
        context = super().get_context()
        if self.tab == "overview":
            context["health"] = health(self.row)
        elif self.tab == "versions":
            context["versions"] = self.versions()
        else:
            rows = Instance.objects.filter(deployment__agent=self.row)
            rows = rows.select_related("deployment__environment", "version")
            context["instances"] = rows.order_by("-started_at")[:INSTANCES_SHOWN]
        return context

    def versions(self) -> list[Any]:
        """The newest ones, each with what it changed against the one before."""
        rows = list(self.row.versions.all()[: VERSIONS_SHOWN + 1])
        for newer, older in itertools.pairwise(rows):
            newer.changes = compare(older.config, newer.config)
        return rows[:VERSIONS_SHOWN]


class AgentCreate(FormDialog):
    """A new agent."""

    model = Agent
    verb = "add"
    form_class = AgentForm
    viewset_class = AgentViewSet
    wide = True


class AgentEdit(AgentCreate):
    """Changing an agent; another configuration becomes the next version."""

    verb = "change"

    def rows(self) -> QuerySet:
        """With the current version."""
        return super().rows().select_related("current", "project")


class AgentDelete(DeleteDialog):
    """Deleting an agent."""

    model = Agent
    viewset_class = AgentViewSet

    def get_hangers(self, row: Agent) -> list[dict[str, Any]]:
        """What goes with it for good."""
        return [
            {"label": "Versions", "count": row.versions.count()},
            {"label": "Recorded model calls", "count": row.model_calls.count()},
        ]

"""The pages of agents: the registry and its dialogs. One agent's own page: agents.page."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from agents import services
from agents.api import AgentViewSet
from agents.filters import AgentFilter
from agents.forms import AgentForm
from agents.models import Agent
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.errors import InvalidInput
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import ListView


class AgentList(ListView):
    """The registry."""

    model = Agent
    title = "Agents"
    filterset_class = AgentFilter
    ordering = "name"
    bulk = "agents"
    live_whole = "agent.health"
    live_changed = "agent.,instance."
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("slug", "Slug", kind="code"),
        Column("kind", "Kind"),
        Column("health", "Health", kind="status", sort="health", narrow="side"),
        Column("status", "Status", kind="status"),
        Column("config.provider", "Provider"),
        Column("config.model", "Model"),
        Column("version", "Version", kind="count", narrow="wide-only"),
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
        """A new agent, the servers they call, and what these cost."""
        found = [
            Verb("Connections", reverse("agents:connections:list"), icon="plug"),
            Verb("Prices", reverse("agents:prices:list"), icon="wallet"),
        ]
        if not self.may("add", self.project):
            return found
        url = reverse("agents:create")
        bring = Verb("Import", reverse("agents:import"), icon="upload", dialog=True)
        return [*found, bring, Verb("New agent", url, icon="plus", dialog=True, kind="primary")]

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


class AgentRestore(ActionView):
    """The configuration of an older version becomes the current one again (`version`)."""

    model = Agent
    verb = "change"

    def perform(self, row: Agent) -> tuple[str, str | None]:
        """History only grows: it is a new version."""
        text = self.request.POST.get("version", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InvalidInput.of("version", "version is the number of a version.")
        rolled = services.roll_back(row, number=int(text), actor=self.request.user)
        url = f"{row.get_absolute_url()}?tab=versions"
        return f"Version {rolled.version} says what version {text} said.", url

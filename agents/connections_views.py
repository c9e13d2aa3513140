"""The pages of provider connections."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpResponse
from django.urls import reverse

from agents import connections
from agents.connection_check import check
from agents.connections_api import ConnectionFilter, ProviderConnectionViewSet
from agents.provider_connection import ProviderConnection
from controlplane.kit.dialogs import DeleteDialog, FormDialog
from controlplane.kit.forms import DialogForm
from controlplane.kit.fragments import announce_done
from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from controlplane.kit.views import DetailView, ListView
from projects.models import Secret


class ConnectionForm(DialogForm):
    """Which server, and the key to it. The provider is chosen once."""

    name = forms.CharField(max_length=120)
    provider = forms.ChoiceField(
        choices=ProviderConnection.Provider.choices,
        help_text="The wire format it speaks; cannot change.",
    )
    base_url = forms.CharField(
        label="Base URL", max_length=2000, required=False,
        help_text="Left empty: the provider's own server.",
    )  # fmt: skip
    secret = forms.ChoiceField(
        required=False, help_text="The secret that holds the key; it must be bound to the host."
    )
    default_model = forms.CharField(
        label="Default model", max_length=120, required=False,
        help_text="For agents that name none.",
    )  # fmt: skip
    enabled = forms.BooleanField(
        required=False, initial=True, help_text="Switched off, its agents make no model calls."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        project_id = self.row.project_id if self.row is not None else self.project.pk
        names = Secret.objects.filter(project_id=project_id).order_by("name")
        found = [(name, name) for name in names.values_list("name", flat=True)]
        self.fields["secret"].choices = [("", "None"), *found]
        if self.row is not None:
            del self.fields["provider"]

    def body(self) -> dict[str, Any]:
        """As the API takes it: what is empty is null."""
        body = super().body()
        return body | {name: body[name] or None for name in ("base_url", "secret")}


def verbs_of(row: ProviderConnection, may: Any) -> list[Verb]:
    """What this user may do to a connection."""
    verbs = []
    if may("delete", row):
        url = reverse("agents:connections:delete", args=[row.pk])
        verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True, kind="danger"))
    if may("change", row):
        url = reverse("agents:connections:edit", args=[row.pk])
        verbs.append(Verb("Edit", url, icon="pencil", dialog=True))
    return verbs


class ConnectionList(ListView):
    """The model servers of the project."""

    model = ProviderConnection
    title = "Provider connections"
    filterset_class = ConnectionFilter
    ordering = "name"
    columns = (
        Column("name", "Name", kind="lead", sort="name", narrow="lead"),
        Column("state", "Status", kind="status", sort="status", narrow="side"),
        Column("provider", "Provider"),
        Column("base_url", "Base URL", kind="code"),
        Column("secret", "Secret", kind="code", narrow="wide-only"),
        Column("default_model", "Default model"),
        Column("checked_at", "Checked", kind="ago", sort="checked_at"),
    )
    exported = (
        "id", "name", "provider", "base_url", "secret", "default_model", "enabled", "status",
        "detail", "checked_at", "created_at", "updated_at",
    )  # fmt: skip
    empty = {
        "title": "No connections yet",
        "text": "Keep the address and key of a model server once, check that it answers, and let "
        "agents name it instead of repeating both.",
        "icon": "plug",
    }

    def get_actions(self) -> list[Verb]:
        """A new one, and the ways next door."""
        found = [
            Verb("Agents", reverse("agents:list"), icon="robot"),
        ]
        if self.may("add", self.project):
            url = reverse("agents:connections:create")
            found.append(Verb("New connection", url, icon="plus", dialog=True, kind="primary"))
        return found

    def prepare(self, rows: list[ProviderConnection]) -> list[ProviderConnection]:
        """Each with how it stands: switched off, or as it was found."""
        for row in rows:
            row.state = row.status if row.enabled else "disabled"
        return rows

    def get_menu(self, row: ProviderConnection) -> list[Verb]:
        """Changing and deleting."""
        return verbs_of(row, self.may)


class ConnectionPage(DetailView):
    """One server: what it lists, and who uses it."""

    model = ProviderConnection
    crumb = ("Provider connections", "/agents/connections/")
    template_name = "agents/connection.html"
    tabs = {
        "models": ("Models", "agents/_connection_models.html"),
        "uses": ("Used by", "agents/_connection_uses.html"),
    }

    def get_counts(self) -> Mapping[str, int]:
        """How many models it listed."""
        return {"models": len(self.row.models_found)}

    def get_actions(self) -> list[Verb]:
        """Checking, changing, deleting."""
        verbs = verbs_of(self.row, self.may)
        if self.may("check", self.row):
            url = reverse("agents:connections:check", args=[self.row.pk])
            verbs.append(
                Verb("Check connection", url, icon="plug", post=True, kind="primary")
            )  # fmt: skip
        return verbs

    def get_facts(self) -> list[dict[str, Any]]:
        """Where it is and what opens it."""
        row = self.row
        return [
            {"label": "Provider", "value": row.get_provider_display()},
            {"label": "Base URL", "value": row.base_url or "the provider's own"},
            {"label": "Secret", "value": row.secret or "none"},
            {"label": "Default model", "value": row.default_model or "none"},
            {"label": "In use", "value": "yes" if row.enabled else "switched off"},
        ]

    def get_context(self) -> dict[str, Any]:
        """And who uses it."""
        context = super().get_context()
        if self.tab == "uses":
            context["agents"], context["deployments"] = connections.uses(self.row)
        return context


class ConnectionCreate(FormDialog):
    """A new connection."""

    model = ProviderConnection
    verb = "add"
    form_class = ConnectionForm
    viewset_class = ProviderConnectionViewSet


class ConnectionEdit(ConnectionCreate):
    """Changing a connection."""

    verb = "change"

    def done(self, row: ProviderConnection) -> HttpResponse:
        """The page is drawn anew."""
        url = row.get_absolute_url()
        return announce_done(self.request, f"Connection {row} saved.", go_to=url, back_to=url)


class ConnectionDelete(DeleteDialog):
    """Deleting a connection; what names it forbids it."""

    model = ProviderConnection
    viewset_class = ProviderConnectionViewSet

    def get_list_url(self, row: ProviderConnection) -> str:
        """The other connections."""
        return reverse("agents:connections:list")


class ConnectionCheck(ActionView):
    """Asking the server what it offers."""

    model = ProviderConnection
    verb = "check"

    def perform(self, row: ProviderConnection) -> tuple[str, str | None]:
        """Ask; the page says what was found."""
        found = check(row, actor=self.request.user)
        return found.detail, found.get_absolute_url()

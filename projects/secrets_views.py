"""The pages of secrets and API keys."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from controlplane.kit.tables import Column, Verb
from controlplane.kit.verbs import ActionView
from projects import keys, vault
from projects.filters import ApiKeyFilter, SecretFilter
from projects.models import ApiKey, Secret
from projects.secrets_api import ApiKeyViewSet, SecretViewSet
from projects.settings_base import (
    ChangeEvent,
    SettingsDelete,
    SettingsDialog,
    SettingsList,
    ShownOnce,
    row_verbs,
)
from projects.settings_forms import ApiKeyForm, SecretForm


class SecretList(SettingsList):
    """Secrets without their values."""

    model = Secret
    filterset_class = SecretFilter
    ordering = "name"
    columns = (
        Column("name", "Name", kind="code", narrow="lead", sort="name"),
        Column("allowed_hosts", "Goes to", kind="tags"),
        Column("rotated_at", "Replaced", kind="ago", sort="rotated_at"),
        Column("last_used_at", "Last used", kind="ago", sort="last_used_at"),
        Column("created_at", "Stored", kind="ago", sort="created_at"),
    )
    empty = {
        "title": "No secrets yet",
        "text": "A secret is stored encrypted, goes to its hosts only and is never shown again.",
        "icon": "lock",
    }

    def get_actions(self) -> list[Verb]:
        """A new one."""
        url = reverse("settings:secret_new")
        new = Verb("New secret", url, icon="plus", dialog=True, kind="primary")
        return [new] if self.may("add", self.project) else []

    def get_menu(self, row: Secret) -> list[Verb]:
        """Changing and deleting."""
        return row_verbs(self, row, "secret")


class SecretNew(SettingsDialog):
    """A new secret."""

    model = Secret
    verb = "add"
    form_class = SecretForm
    viewset_class = SecretViewSet

    def save(self, form: Any) -> Secret:
        """Store it."""
        return vault.store(self.project, **form.cleaned_data, actor=self.request.user)


class SecretEdit(SecretNew):
    """Other hosts, another value."""

    verb = "change"

    def save(self, form: Any) -> Secret:
        """Replace what was given."""
        data = form.cleaned_data
        value, hosts = data["value"] or None, data["allowed_hosts"]
        return vault.change(self.row, value=value, allowed_hosts=hosts, actor=self.request.user)


class SecretDelete(SettingsDelete):
    """Deleting a secret."""

    model = Secret
    viewset_class = SecretViewSet


class KeyList(SettingsList):
    """API keys without their secret parts."""

    model = ApiKey
    filterset_class = ApiKeyFilter
    columns = (
        Column("name", "Name", narrow="lead", sort="name"),
        Column("prefix", "Begins with", kind="code"),
        Column("user", "Whose"),
        Column("scopes", "Scopes", kind="tags"),
        Column("status", "Status", kind="status", narrow="side"),
        Column("expires_at", "Expires", kind="ago", sort="expires_at"),
        Column("last_used_at", "Last used", kind="ago", sort="last_used_at"),
    )
    empty = {
        "title": "No API keys yet",
        "text": "A key lets a program speak for you or for a service account.",
        "icon": "key",
    }

    def get_queryset(self) -> QuerySet:
        """With whose they are."""
        return super().get_queryset().select_related("user")

    def get_actions(self) -> list[Verb]:
        """A new one."""
        url = reverse("settings:key_new")
        new = Verb("New API key", url, icon="plus", dialog=True, kind="primary")
        return [new] if self.may("add", self.project) else []

    def get_menu(self, row: ApiKey) -> list[Verb]:
        """Revoking and deleting."""
        verbs = []
        if row.status == "active" and self.may("change", row):
            verbs.append(Verb("Revoke", reverse("settings:key_revoke", args=[row.pk]), post=True))
        if self.may("delete", row):
            url = reverse("settings:key_delete", args=[row.pk])
            verbs.append(Verb("Delete", url, icon="trash", dialog=True, danger=True))
        return verbs


class KeyNew(ShownOnce):
    """A new API key."""

    model = ApiKey
    verb = "add"
    form_class = ApiKeyForm
    once_title = "Your API key"
    once_text = "Copy it now: it is not shown again."

    def save(self, form: Any) -> ApiKey:
        """Make it."""
        data = form.cleaned_data
        key, self.once = keys.create(
            actor=self.request.user,
            project=self.project,
            name=data["name"],
            scopes=data["scopes"],
            expires_at=data["expires_at"],
            service_account=data["service_account"] or None,
        )
        return key


class KeyRevoke(ChangeEvent, ActionView):
    """Ending a key at once."""

    model = ApiKey
    verb = "change"

    def perform(self, row: ApiKey) -> tuple[str, str | None]:
        """Revoke it."""
        keys.revoke(row, actor=self.request.user)
        return f"{row.name} is revoked.", None


class KeyDelete(SettingsDelete):
    """Deleting a key."""

    model = ApiKey
    viewset_class = ApiKeyViewSet

"""Forms of the dialogs of agents."""

from typing import Any

from django import forms
from django.urls import reverse

from agents.models import Agent, Kind
from agents.provider_connection import ProviderConnection
from controlplane.kit.forms import DialogForm, JsonField, TagsField

CONFIGS: dict[str, dict[str, Any]] = {
    Kind.MODEL: {
        "provider": "openai", "base_url": None, "model": "gpt-5-mini", "secret": None,
        "instructions": "", "parameters": {"temperature": 0.2}, "tools": [],
        "output_schema": None,
        "limits": {"turns": 20, "tokens": 50000, "cost": "1.00", "seconds": 300},
    },
    Kind.REMOTE: {"url": "https://"},
    Kind.WORKER: {},
}  # fmt: skip
HELP = {
    Kind.MODEL: "provider is openai, anthropic or embedded; without a connection, base_url points "
    "at any server that speaks its protocol and secret names one of the project's secrets; tools "
    "are slugs.",
    Kind.REMOTE: "url is the address of the agent; health_url, where it has one, tells by a status "
    "below 400 that it is well.",
    Kind.WORKER: "What the worker program is told.",
}


class AgentForm(DialogForm):
    """An agent with its configuration. Kind and slug are chosen once."""

    kind = forms.ChoiceField(choices=Kind.choices)
    name = forms.CharField(max_length=120)
    slug = forms.SlugField(max_length=63, help_text="How workflows name it; cannot change.")
    description = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea({"rows": 2})
    )
    connection = forms.ChoiceField(
        required=False,
        help_text="The model server it calls; base_url and secret come from it then.",
    )
    config = JsonField(label="Configuration")
    note = forms.CharField(
        required=False, max_length=500, label="What changed",
        help_text="Kept with the version that a change of the configuration makes.",
    )  # fmt: skip
    status = forms.ChoiceField(choices=Agent.Status.choices)
    tags = TagsField(required=False, help_text="Words between commas.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            del self.fields["kind"], self.fields["slug"]
            kind = self.row.kind
        else:
            del self.fields["status"], self.fields["note"]
            kind = self.data.get("kind") or self.initial.get("kind") or Kind.MODEL
            self.initial |= {"kind": kind, "config": CONFIGS.get(kind, {})}
            self.fields["kind"].widget.attrs |= {
                "hx-get": reverse("agents:create"),
                "hx-target": "#dialog",
                "hx-swap": "innerHTML",
                "hx-trigger": "change",
                "hx-include": "[name=name], [name=slug], [name=description]",
            }
        self.fields["config"].help_text = HELP.get(kind, "")
        if kind == Kind.MODEL:
            self.fields["connection"].choices = self._connections()
        else:
            del self.fields["connection"]

    def facts(self) -> dict[str, Any]:
        """What the row says; the connection stands beside the rest of the configuration."""
        facts = super().facts()
        if self.row is not None:
            config = dict(self.row.config)
            facts |= {"connection": config.pop("connection", ""), "config": config}
        return facts

    def body(self) -> dict[str, Any]:
        """As the API takes it: the connection is part of the configuration."""
        body = super().body()
        if key := body.pop("connection", ""):
            body["config"] = {**body["config"], "connection": key}
        return body

    def _connections(self) -> list[tuple[str, str]]:
        project_id = self.row.project_id if self.row is not None else self.project.pk
        rows = ProviderConnection.objects.filter(project_id=project_id)
        found = [
            (str(row.pk), f"{row.name} ({row.provider}{'' if row.enabled else ', switched off'})")
            for row in rows
        ]
        return [("", "None: base_url and secret stand in the configuration"), *found]

"""Forms of the dialogs of runs."""

import json
from typing import Any

from django import forms
from django.urls import reverse

from controlplane.kit.forms import DialogForm, JsonField, TagsField
from controlplane.kit.ids import parse_uuid, uuid7
from projects.models import Environment
from tools.sample import sample
from workflows.models import Workflow

MOST_CHOICES = 2_000


class StartForm(DialogForm):
    """What is to be run, where, and with what."""

    workflow = forms.ChoiceField(label="Workflow")
    environment = forms.ChoiceField(label="Environment")
    input = JsonField(kind=None, label="Input", required=True)
    tags = TagsField(required=False, label="Tags", help_text="Words between commas.")
    # Sent twice by a double click, it starts one run.
    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Workflow.objects.visible_to(self.user).filter(
            project=self.project, released__isnull=False
        )
        rows = rows.select_related("released").order_by("name")
        names = Environment.objects.filter(project=self.project).values_list("name", flat=True)
        self.fields["workflow"].choices = [(str(row.pk), row.name) for row in rows]
        self.fields["environment"].choices = [(name, name) for name in names]
        self.fields["workflow"].widget.attrs |= {
            "hx-get": reverse("runs:start"),
            "hx-target": "#dialog",
            "hx-swap": "innerHTML",
            "hx-trigger": "change",
            "hx-include": "[name=environment], [name=tags]",
        }
        asked = parse_uuid(self.data.get("workflow") or self.initial.get("workflow"))
        chosen = next((row for row in rows if row.pk == asked), rows[0] if rows else None)
        if chosen is not None:
            self._describe(chosen)

    def _describe(self, workflow: Workflow) -> None:
        self.initial["workflow"] = str(workflow.pk)
        schema = workflow.released.definition.get("input_schema") or {}
        self.initial.setdefault("input", sample({"type": "object", **schema}))
        named = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        words = [
            f"{name} ({part.get('type', 'any') if isinstance(part, dict) else 'any'}"
            f"{'' if name in required else ', optional'})"
            for name, part in named.items()
        ]
        if words:
            self.fields["input"].help_text = f"Takes {', '.join(words)}."

    def body(self) -> dict[str, Any]:
        """As POST /runs takes it."""
        fields = ("workflow", "environment", "input", "tags")
        return {name: self.cleaned_data[name] for name in fields} | {"trigger": "manual"}


class CancelForm(DialogForm):
    """Why a run is stopped."""

    reason = forms.CharField(
        required=False, max_length=500, help_text="Shown on the run and in the audit log."
    )


class RetryForm(DialogForm):
    """From where a run is done again; another input only from the start."""

    start_from = forms.ChoiceField(
        label="Do again",
        widget=forms.RadioSelect,
        choices=[
            ("failed", "What failed, and what comes after it"),
            ("start", "Everything from the start"),
        ],
    )
    input = JsonField(
        kind=None, required=False, label="Input", help_text="Used only from the start."
    )

    def facts(self) -> dict[str, Any]:
        """The run's own input; from the start where nothing failed."""
        failed = self.row.status in ("failed", "timed_out", "cancelled")
        return {"start_from": "failed" if failed else "start", "input": self.row.input}

    def arguments(self) -> dict[str, Any]:
        """What runs.services.retry takes; an unchanged input is left out."""
        start_from, given = self.cleaned_data["start_from"], self.cleaned_data["input"]
        is_other = json.dumps(given, sort_keys=True) != json.dumps(self.row.input, sort_keys=True)
        keep = start_from != "start" or given is None or not is_other
        return {"start_from": start_from, "input": None if keep else given}


class ForkForm(DialogForm):
    """From which step another run goes on, and with what input."""

    start_from = forms.ChoiceField(
        label="Go on from", help_text="What has ended before it is copied and costs nothing again."
    )
    input = JsonField(
        kind=None,
        required=False,
        label="Input",
        help_text="Seen by the steps that are done again; copied ones keep what they answered.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        steps = self.row.steps.filter(path="").exclude(status="skipped")
        nodes = steps.order_by("position").values_list("node", "name")[:MOST_CHOICES]
        start = ("start", "The start: everything is done again")
        self.fields["start_from"].choices = [start, *nodes]

    def facts(self) -> dict[str, Any]:
        """The run's own input."""
        return {"start_from": "start", "input": self.row.input}

    def arguments(self) -> dict[str, Any]:
        """What runs.services.fork takes."""
        return dict(self.cleaned_data)

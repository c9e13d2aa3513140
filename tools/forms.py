"""Forms of the dialogs of tools."""

from typing import Any

from django import forms
from django.urls import reverse

from controlplane.kit.forms import DialogForm, JsonField, TagsField
from tools.config_forms import START, HasConfig
from tools.models import EffectClass, Kind, Stakes, Tool


class ToolForm(HasConfig, DialogForm):
    """A tool with its definition. Kind and slug are chosen once."""

    kind = forms.ChoiceField(choices=Kind.choices)
    name = forms.CharField(max_length=120)
    slug = forms.SlugField(
        max_length=63, help_text="How workflows and agents name it; cannot change."
    )
    description = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea({"rows": 2}),
        help_text="Models read this to know when to call it.",
    )  # fmt: skip
    config = JsonField(label="Definition")
    input_schema = JsonField(label="Schema of the arguments", required=False)
    output_schema = JsonField(label="Schema of the output", required=False)
    effect_class = forms.ChoiceField(
        label="If repeated", choices=EffectClass.choices, initial=EffectClass.UNSAFE,
        help_text="What a second call after a crash would do outside.",
    )  # fmt: skip
    effect_check = JsonField(
        label="How to ask whether it happened", required=False,
        help_text="For checkable tools: another tool that only reads, and what its answer means. "
        'Such as {"tool": "order-status", "arguments": {"id": "${arguments.id}"}, '
        '"done": "output.state == \'paid\'"}. Without it a person is asked.',
    )  # fmt: skip
    effect_undo = JsonField(
        label="How to undo it", required=False,
        help_text='Another tool, such as {"tool": "refund", "arguments": {"id": '
        '"${arguments.id}"}}. Called when a person decides under Reconcile that a call be undone.',
    )  # fmt: skip
    stakes = forms.ChoiceField(choices=Stakes.choices, initial=Stakes.WRITE)
    timeout_seconds = forms.FloatField(initial=30, min_value=0.1, max_value=3600)
    rate_limit = JsonField(
        required=False,
        help_text='Such as {"limit": 10, "per_seconds": 1, "when_limited": "wait"}.',
    )
    status = forms.ChoiceField(choices=Tool.Status.choices)
    tags = TagsField(required=False, help_text="Words between commas.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            del self.fields["kind"], self.fields["slug"]
            kind = self.row.kind
        else:
            del self.fields["status"]
            kind = self.data.get("kind") or self.initial.get("kind") or Kind.HTTP
            self.initial["kind"] = kind = kind if kind in Kind.values else Kind.HTTP
            if kind == Kind.HTTP:
                self.initial.setdefault("input_schema", {"type": "object", "properties": {}})
            self.fields["kind"].widget.attrs |= {
                "hx-get": reverse("tools:create"),
                "hx-target": "#dialog",
                "hx-swap": "innerHTML",
                "hx-trigger": "change",
                "hx-include": "[name=name], [name=slug], [name=description]",
            }
        if kind == Kind.MCP:
            # They are the server's.
            del self.fields["input_schema"], self.fields["output_schema"]
        start = self.row.config if self.row is not None else None
        self.take_parts(kind, self.project, start)
        if self.row is None and not self.is_bound:
            self.initial.setdefault("config", START.get(kind, {}))

    def body(self) -> dict[str, Any]:
        """As the API takes it: no schema of arguments means any object."""
        body = super().body()
        if "input_schema" in body:
            body["input_schema"] = body["input_schema"] or {"type": "object"}
        return body

"""Forms of the dialogs of workflows."""

from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonField, TagsField
from workflows.models import Workflow

FIRST_DEFINITION: dict[str, Any] = {
    "input_schema": {"type": "object", "properties": {}},
    "nodes": [{"id": "first", "kind": "transform", "name": "First step", "set": {"answer": 42}}],
    "edges": [],
    "output": {"answer": "${steps.first.output.answer}"},
}


class WorkflowForm(DialogForm):
    """A workflow with its definition, which goes into the draft. The slug is chosen once."""

    name = forms.CharField(max_length=120)
    slug = forms.SlugField(max_length=63, help_text="How other workflows name it; cannot change.")
    description = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea({"rows": 2})
    )
    definition = JsonField(help_text="It may have faults while it is a draft.")
    status = forms.ChoiceField(choices=Workflow.Status.choices)
    tags = TagsField(required=False, help_text="Words between commas.")
    concurrency_limit = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="Runs at once",
        help_text="Further runs wait their turn. Empty for no limit.",
    )  # fmt: skip
    concurrency_key = forms.CharField(
        required=False, max_length=2000, label="Counted by",
        help_text="An expression over the input, such as input.customer.",
    )  # fmt: skip
    concurrency_key_limit = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="Runs at once of one value",
        help_text="Of that expression. Empty for no limit.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            del self.fields["slug"]
        else:
            del self.fields["status"]
            self.initial.setdefault("definition", FIRST_DEFINITION)

    def facts(self) -> dict[str, Any]:
        """With the definition as it was drawn last."""
        found = super().facts()
        if self.row is not None:
            found["definition"] = self.row.head.drawn if self.row.head else {}
        return found


class PublishForm(DialogForm):
    """What is new in a version that is released."""

    note = forms.CharField(
        required=False, max_length=500, label="What is new", help_text="Shown with the version."
    )

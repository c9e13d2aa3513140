"""Forms of the dialogs in which a person says what became of a call."""

from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonField
from runs import undoing
from runs.models import Effect
from runs.reconcile import LONGEST_COMMENT, Compensation, Word, output_schema
from tools.sample import sample
from workflows.models import Workflow


class WordForm(DialogForm):
    """How one knows; asked of every word."""

    action: str
    field_order = ("output", "new_key", "workflow", "input", "comment")
    comment = forms.CharField(
        label="How do you know?",
        required=False,
        max_length=LONGEST_COMMENT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the call and in the audit log.",
    )

    def facts(self) -> dict[str, Any]:
        """Nothing is known yet."""
        return {}

    def word(self) -> Word:
        """As the service takes it."""
        return Word(self.action, comment=self.cleaned_data["comment"])


class DoneForm(WordForm):
    """It happened: what it answered."""

    action = Effect.Resolution.DONE
    output = JsonField(
        kind=None,
        required=False,
        label="What did it answer?",
        help_text="The step ends with this as its output, and the run goes on with it.",
    )

    def facts(self) -> dict[str, Any]:
        """An output as the tool promises it."""
        schema = output_schema(self.row)
        return {"output": sample(schema) if isinstance(schema, dict) else None}

    def word(self) -> Word:
        """With the output."""
        return Word(
            self.action, output=self.cleaned_data["output"], comment=self.cleaned_data["comment"]
        )


class RedoForm(WordForm):
    """It did not happen, or may happen twice."""

    action = Effect.Resolution.REDO
    new_key = forms.BooleanField(
        required=False,
        label="Under a new idempotency key",
        help_text="Where the other side remembers the old key and would not act on it again.",
    )

    def word(self) -> Word:
        """With the choice of the key."""
        return Word(
            self.action,
            new_key=self.cleaned_data["new_key"],
            comment=self.cleaned_data["comment"],
        )


BY_TOOL = "tool"


class CompensateForm(WordForm):
    """It was undone by hand, or is undone by a tool or a run."""

    action = Effect.Resolution.COMPENSATE
    workflow = forms.ChoiceField(
        required=False,
        label="Undo it",
        help_text="A tool is called now, the run of a workflow starts now.",
    )
    input = JsonField(kind=None, required=False, label="Input of that workflow")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Workflow.objects.visible_to(self.user).filter(
            project_id=self.row.project_id, released__isnull=False
        )
        names = [(str(pk), name) for pk, name in rows.order_by("name").values_list("pk", "name")]
        self.undo = undoing.named(self.row)
        by_tool = [(BY_TOOL, f"By the tool {self.undo['tool']}")] if self.undo else []
        choices = [*by_tool, ("", "By nobody: it was undone by hand"), *names]
        self.fields["workflow"].choices = choices  # type: ignore[attr-defined]

    def facts(self) -> dict[str, Any]:
        """The call's arguments, which the undoing will need."""
        return {"input": self.row.arguments}

    def word(self) -> Word:
        """With the workflow, if one is chosen."""
        given = self.cleaned_data
        if given["workflow"] == BY_TOOL:
            return Word(self.action, comment=given["comment"])
        if not given["workflow"]:
            return Word(self.action, comment=given["comment"], by_hand=True)
        workflow = Workflow.objects.visible_to(self.user).get(pk=given["workflow"])
        by_run = Compensation(workflow, {} if given["input"] is None else given["input"])
        return Word(self.action, comment=given["comment"], compensation=by_run)

"""Forms of the dialogs of approvals."""

from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonField
from governance.approval_rules import LONGEST_COMMENT


class DecideForm(DialogForm):
    """A comment, and the mark of what the person saw."""

    comment = forms.CharField(
        required=False,
        max_length=LONGEST_COMMENT,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    shown_sha256 = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def facts(self) -> dict[str, Any]:
        """What is shown now."""
        return {"shown_sha256": self.row.shown_sha256}

    def words(self) -> dict[str, Any]:
        """As the service takes them."""
        return dict(self.cleaned_data)


class EditForm(DecideForm):
    """Other arguments than those asked for."""

    field_order = ("arguments", "comment")
    arguments = JsonField(kind=dict, label="Arguments")

    def facts(self) -> dict[str, Any]:
        """The arguments as they stand."""
        return {**super().facts(), "arguments": self.row.shown_arguments}


class RejectForm(DecideForm):
    """Why not."""

    comment = forms.CharField(
        label="Why?",
        max_length=LONGEST_COMMENT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The run sees these words.",
    )

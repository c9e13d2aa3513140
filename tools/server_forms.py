"""Forms of the dialogs of MCP servers."""

from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonField, TagsField

_AUTH_HELP = (
    'Such as {"type": "bearer", "secret": "name of a secret"}; type is bearer, basic, header or '
    "query. Empty where the server asks for nothing."
)


class ToolServerForm(DialogForm):
    """Where a server is and how it is asked."""

    name = forms.CharField(max_length=120)
    url = forms.CharField(
        label="URL", max_length=2000, help_text="Of its streamable HTTP endpoint, often …/mcp."
    )
    auth = JsonField(label="Credentials", required=False, help_text=_AUTH_HELP)
    timeout_seconds = forms.FloatField(
        label="Time limit of a call, in seconds", initial=30, min_value=0.1, max_value=600
    )
    description = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea({"rows": 2})
    )
    tags = TagsField(required=False, help_text="Words between commas.")

    def body(self) -> dict[str, Any]:
        """As the API takes it: no credentials are null."""
        body = super().body()
        body["auth"] = body["auth"] or None
        return body


class ApproveForm(DialogForm):
    """A person's word on a changed definition. The fingerprint is that of what was shown."""

    definition_sha256 = forms.CharField(widget=forms.HiddenInput, max_length=64)
    note = forms.CharField(required=False, max_length=500, label="Note")


class RestoreForm(DialogForm):
    """Going back to an older version."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    note = forms.CharField(required=False, max_length=500, label="Note")

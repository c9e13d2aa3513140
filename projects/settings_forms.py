"""Forms of the settings of a project."""

from typing import Any

from django import forms

from controlplane.kit.forms import DialogForm, JsonField, TagsField
from projects.models import Membership, Project
from projects.roles import ROLES
from projects.serializers import SCOPES


class ProjectForm(DialogForm):
    """A project's words and its rules about data."""

    name = forms.CharField(max_length=120)
    description = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea({"rows": 2})
    )
    content_capture = forms.ChoiceField(
        label="Keep prompts and answers",
        choices=Project.ContentCapture.choices,
        initial=Project.ContentCapture.FULL,
        help_text="Redacted keeps them without values that look personal; off keeps none.",
    )
    retention_days = forms.IntegerField(
        label="Keep runs for (days)", min_value=1, max_value=3650, initial=90
    )


class DataForm(DialogForm):
    """How long a project keeps what."""

    retention_days = forms.IntegerField(
        label="Keep ended runs for (days)",
        min_value=1,
        max_value=3650,
        help_text="Then they are deleted with their steps, events and logs. What calls cost stays.",
    )
    log_retention_days = forms.IntegerField(
        label="Keep log lines for (days)",
        required=False,
        min_value=1,
        max_value=3650,
        help_text="Empty: as long as their runs.",
    )
    payload_retention_days = forms.IntegerField(
        label="Keep inputs and outputs for (days)",
        required=False,
        min_value=1,
        max_value=3650,
        help_text="Empty: as long as their runs. Without them a run can be looked at, not retried.",
    )


class NewProjectForm(DialogForm):
    """A project of one's own."""

    name = forms.CharField(max_length=120)
    slug = forms.SlugField(
        required=False, max_length=63, help_text="Made from the name where left empty."
    )

    def body(self) -> dict[str, Any]:
        """Without what was left empty, and without the current project."""
        return {name: value for name, value in self.cleaned_data.items() if value}


class EnvironmentForm(DialogForm):
    """An environment; its name cannot change."""

    name = forms.SlugField(max_length=63, help_text="How runs and schedules name it.")
    rank = forms.IntegerField(
        min_value=0, max_value=1000, initial=10, help_text="The order in lists; low comes first."
    )
    protected = forms.BooleanField(
        required=False, help_text="Only deployed agents work here, and admins deploy."
    )
    variables = JsonField(required=False, help_text='Such as {"REGION": "eu"}; not for secrets.')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            del self.fields["name"]

    def body(self) -> dict[str, Any]:
        """The project is in the path."""
        return {**self.cleaned_data, "variables": self.cleaned_data["variables"] or {}}


class HostsField(TagsField):
    """Hosts between commas."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label="Allowed hosts",
            help_text="host, host:port or *.domain, between commas. It goes nowhere else.",
            **kwargs,
        )


class SecretForm(DialogForm):
    """A secret; what was stored is not shown again."""

    name = forms.SlugField(max_length=63, help_text="How tools and agents name it.")
    value = forms.CharField(
        max_length=16_384,
        strip=False,
        widget=forms.Textarea({"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )
    allowed_hosts = HostsField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.row is not None:
            del self.fields["name"]
            self.fields["value"].required = False
            self.fields["value"].help_text = "Leave empty to keep the stored value."

    def facts(self) -> dict[str, Any]:
        """Never the value."""
        return {"allowed_hosts": self.row.allowed_hosts} if self.row is not None else {}


class ApiKeyForm(DialogForm):
    """An API key of one's own or of a service account."""

    name = forms.CharField(max_length=120, help_text="What it is for.")
    service_account = forms.ChoiceField(
        label="Whose", required=False, help_text="A key of your own ends with your membership."
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all that the role allows.",
    )
    expires_at = forms.DateTimeField(
        label="Expires", required=False, widget=forms.DateTimeInput({"type": "datetime-local"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        robots = Membership.objects.filter(project=self.project, user__is_service=True)
        self.fields["service_account"].choices = [
            ("", "Yours"),
            *((str(m.user_id), m.user.name) for m in robots.select_related("user")),
        ]


class InviteForm(DialogForm):
    """Somebody by e-mail."""

    email = forms.EmailField(label="E-mail", max_length=254)
    role = forms.ChoiceField(choices=ROLES, initial="viewer")


class ServiceAccountForm(DialogForm):
    """A member that is no person."""

    name = forms.CharField(max_length=120)
    role = forms.ChoiceField(choices=ROLES[:-1], initial="operator")


class RoleForm(DialogForm):
    """A member's role."""

    role = forms.ChoiceField(choices=ROLES)


class ProfileForm(forms.Form):
    """What one may change of oneself."""

    name = forms.CharField(max_length=120, widget=forms.TextInput({"autocomplete": "name"}))

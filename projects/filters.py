"""Filters of projects and what belongs to them, for pages and API alike."""

from controlplane.kit.filters import ListFilterSet, ManyFilter
from projects.models import ApiKey, Environment, Invitation, Membership, Project, Secret
from projects.roles import ROLES


class ProjectFilter(ListFilterSet):
    """Projects by status and words."""

    search_fields = ("name", "slug", "description")
    status = ManyFilter("status", options=Project.Status.choices, label="Status", looks=True)

    class Meta:
        model = Project
        fields: list[str] = []


class MemberFilter(ListFilterSet):
    """Members by role, name and e-mail."""

    search_fields = ("user__name", "user__email")
    role = ManyFilter("role", options=ROLES, label="Role")

    class Meta:
        model = Membership
        fields: list[str] = []


class InvitationFilter(ListFilterSet):
    """Open invitations by e-mail."""

    search_fields = ("email",)

    class Meta:
        model = Invitation
        fields: list[str] = []


class EnvironmentFilter(ListFilterSet):
    """Environments by name."""

    class Meta:
        model = Environment
        fields = ["name", "protected"]


class SecretFilter(ListFilterSet):
    """Secrets by name."""

    class Meta:
        model = Secret
        fields = ["name"]


class ApiKeyFilter(ListFilterSet):
    """API keys by name, prefix and whose they are."""

    search_fields = ("name", "prefix", "user__name", "user__email")
    user = ManyFilter("user_id", options=(), label="Whose", of="id")

    class Meta:
        model = ApiKey
        fields: list[str] = []

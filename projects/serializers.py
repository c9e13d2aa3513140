"""Projects and what belongs to them, as the API shows them."""

from typing import Any

from rest_framework import serializers

from controlplane.kit.api import KitSerializer, RelatedId
from controlplane.kit.bodies import Body
from projects.models import ApiKey, Environment, Invitation, Membership, Project, Secret
from projects.people import User
from projects.roles import EVERY_PERMISSION, ROLES

SCOPES = sorted(
    {"*"}
    | {f"{permission.split('.')[0]}:read" for permission in EVERY_PERMISSION}
    | {f"{permission.split('.')[0]}:write" for permission in EVERY_PERMISSION}
)


class PersonSerializer(serializers.ModelSerializer):
    """A person or service account, in the shape other rows show it."""

    class Meta:
        model = User
        fields = ["id", "email", "name", "is_service"]
        read_only_fields = fields


class ProjectSerializer(KitSerializer):
    """A project; `role` is the caller's own."""

    immutable = ("slug",)
    slug = serializers.SlugField(required=False, max_length=63)
    role = serializers.SerializerMethodField()
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Project
        fields = [
            "id",
            "slug",
            "name",
            "description",
            "status",
            "content_capture",
            "retention_days",
            "log_retention_days",
            "payload_retention_days",
            "frozen_at",
            "frozen_by",
            "frozen_reason",
            "role",
            "display",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["status", "frozen_at", "frozen_by", "frozen_reason"]

    def get_role(self, project: Project) -> str | None:
        """The caller's role, also where the project is archived."""
        role = self.context["request"].user.project_roles().get(project.pk, "")
        return role.split()[-1] if role else None


class EnvironmentSerializer(KitSerializer):
    """An environment of the project in the path."""

    immutable = ("name",)
    project = RelatedId(read_only=True)

    class Meta:
        model = Environment
        fields = [
            "id",
            "project",
            "name",
            "rank",
            "protected",
            "variables",
            "frozen_at",
            "frozen_by",
            "frozen_reason",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["frozen_at", "frozen_by", "frozen_reason"]


class MemberSerializer(serializers.ModelSerializer):
    """A member of the project in the path."""

    user = PersonSerializer(read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "project", "user", "role", "created_at", "updated_at"]
        read_only_fields = fields


class NewMember(Body):
    """Somebody by e-mail (a member at once where they have an account, else invited), or a new
    service account by name."""

    email = serializers.EmailField(required=False, max_length=254)
    name = serializers.CharField(required=False, max_length=120)
    is_service = serializers.BooleanField(default=False)
    role = serializers.ChoiceField(choices=ROLES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of e-mail and name."""
        wanted = "name" if attrs["is_service"] else "email"
        if not attrs.get(wanted):
            raise serializers.ValidationError({wanted: ["This field is required."]}, "required")
        return attrs


class NewRole(Body):
    """The role a member is to have."""

    role = serializers.ChoiceField(choices=ROLES)


class InvitationSerializer(serializers.ModelSerializer):
    """An open invitation; `link` is given once, to who made it."""

    invited_by = PersonSerializer(read_only=True)

    class Meta:
        model = Invitation
        fields = ["id", "project", "email", "role", "invited_by", "expires_at", "created_at"]
        read_only_fields = fields


class SecretSerializer(KitSerializer):
    """A secret without its value, which goes in and never out."""

    immutable = ("project", "name")
    project = RelatedId(queryset=Project.objects.all())
    value = serializers.CharField(
        write_only=True, trim_whitespace=False, max_length=16_384, required=False
    )
    allowed_hosts = serializers.ListField(
        child=serializers.CharField(max_length=260), required=False, default=list, max_length=50
    )

    class Meta:
        model = Secret
        fields = [
            "id",
            "project",
            "name",
            "value",
            "allowed_hosts",
            "rotated_at",
            "last_used_at",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["rotated_at", "last_used_at"]


class RotateSecret(Body):
    """The value that replaces the old one."""

    value = serializers.CharField(trim_whitespace=False, max_length=16_384)


class ApiKeySerializer(KitSerializer):
    """An API key without its secret part; `key` is in the answer to its creation only."""

    immutable = ("project", "user")
    project = RelatedId(queryset=Project.objects.all())
    user = PersonSerializer(read_only=True)
    service_account = serializers.UUIDField(
        write_only=True,
        required=False,
        allow_null=True,
        default=None,
        help_text="Id (`user.id`) of a service account of the project; null for yourself.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES), required=False, default=list
    )
    status = serializers.CharField(read_only=True)

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "project",
            "user",
            "service_account",
            "name",
            "prefix",
            "scopes",
            "status",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["prefix", "revoked_at", "last_used_at"]

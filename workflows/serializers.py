"""Workflows and their versions as the API shows and takes them."""

from typing import Any

from rest_framework import serializers

from agents.serializers import ChangeSerializer
from controlplane.kit.api import KitSerializer, RelatedId
from controlplane.kit.bodies import Body
from projects.models import Project
from tools.serializers import AnyField, ObjectField
from workflows import services
from workflows.models import Workflow, WorkflowVersion


class WorkflowSerializer(KitSerializer):
    """A workflow with the definition of its newest version."""

    project = RelatedId(queryset=Project.objects.all())
    description = serializers.CharField(default="", allow_blank=True, max_length=4000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), default=list, max_length=50
    )
    status = serializers.ChoiceField(Workflow.Status.choices, default=Workflow.Status.ACTIVE)
    definition = ObjectField(source="head.drawn")
    concurrency_limit = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=100_000
    )
    concurrency_key = serializers.CharField(default="", allow_blank=True, max_length=2000)
    concurrency_key_limit = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=100_000
    )
    version = serializers.IntegerField(source="head.number", read_only=True)
    version_state = serializers.CharField(source="head.state", read_only=True)
    released_version = serializers.IntegerField(
        source="released.number", read_only=True, allow_null=True, default=None
    )
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Workflow
        fields = [
            "id", "project", "slug", "name", "description", "tags", "status", "definition",
            "concurrency_limit", "concurrency_key", "concurrency_key_limit", "version",
            "version_state", "released_version", "created_at", "updated_at", "url", "display",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at", "updated_at"]

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each tag once, in the order given."""
        return list(dict.fromkeys(value))

    def validate_definition(self, value: Any) -> Any:
        """What can be kept as a draft."""
        return services.storable_definition(value)

    def validate_concurrency_key(self, value: str) -> str:
        """An expression over the input."""
        return services.concurrency_key(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules; the definition is no column of the model."""
        head = attrs.pop("head", None)
        attrs = super().validate(attrs)
        return attrs if head is None else {**attrs, "definition": head["drawn"]}

    def create(self, validated_data: dict[str, Any]) -> Workflow:
        """The workflow with draft version 1."""
        return services.insert(author=self.context["request"].user, **validated_data)

    def update(self, instance: Workflow, validated_data: dict[str, Any]) -> Workflow:
        """The changed workflow, its definition in the draft."""
        for name in self.immutable:
            validated_data.pop(name, None)
        return services.change(instance, author=self.context["request"].user, **validated_data)


class WorkflowRowSerializer(WorkflowSerializer):
    """A workflow as a row of a list: without its definition."""

    class Meta(WorkflowSerializer.Meta):
        fields = [f for f in WorkflowSerializer.Meta.fields if f != "definition"]


class WorkflowVersionRowSerializer(serializers.ModelSerializer):
    """A version as a row of a list."""

    version = serializers.IntegerField(source="number", read_only=True)
    created_by = serializers.CharField(source="created_by_name", read_only=True)
    is_current = serializers.SerializerMethodField()
    is_released = serializers.SerializerMethodField()

    class Meta:
        model = WorkflowVersion
        fields = [
            "id", "version", "state", "sha256", "note", "uses", "created_by", "created_at",
            "updated_at", "released_at", "is_current", "is_released",
        ]  # fmt: skip
        read_only_fields = fields

    def get_is_current(self, version: WorkflowVersion) -> bool:
        """Whether it is the newest one, which editing changes or follows."""
        return version.pk == version.workflow.head_id

    def get_is_released(self, version: WorkflowVersion) -> bool:
        """Whether new runs use it."""
        return version.pk == version.workflow.released_id


class WorkflowVersionSerializer(WorkflowVersionRowSerializer):
    """A version with its definition."""

    definition = ObjectField(source="drawn", read_only=True)

    class Meta(WorkflowVersionRowSerializer.Meta):
        fields = [*WorkflowVersionRowSerializer.Meta.fields, "definition"]
        read_only_fields = fields


class NoteBody(Body):
    """The body of publish and of the restoring of a version."""

    note = serializers.CharField(default="", allow_blank=True, max_length=500)


class ValidateBody(Body):
    """The body of POST /workflows/{id}/validate."""

    definition = AnyField(required=False, allow_null=True)


class NamesSerializer(serializers.Serializer):
    """Steps or edges by what became of them."""

    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())


class WorkflowDiffSerializer(serializers.Serializer):
    """What GET /workflows/{id}/versions/{n}/diff answers."""

    base = serializers.IntegerField()
    version = serializers.IntegerField()
    nodes = NamesSerializer()
    edges = NamesSerializer()
    changes = ChangeSerializer(many=True)


class FaultSerializer(serializers.Serializer):
    """One fault of a definition."""

    node = serializers.CharField(allow_null=True)
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    message = serializers.CharField()


class ValidationSerializer(serializers.Serializer):
    """What POST /workflows/{id}/validate answers."""

    valid = serializers.BooleanField()
    faults = FaultSerializer(many=True)

"""Workflows and their versions as the API shows and takes them."""

from typing import Any

from rest_framework import serializers

from controlplane.kit.api import KitSerializer, RelatedId
from projects.models import Project
from tools.serializers import ObjectField
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
    definition = ObjectField(source="head.definition")
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
            "version", "version_state", "released_version", "created_at", "updated_at", "url",
            "display",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at", "updated_at"]

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each tag once, in the order given."""
        return list(dict.fromkeys(value))

    def validate_definition(self, value: Any) -> Any:
        """What can be kept as a draft."""
        return services.storable_definition(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules; the definition is no column of the model."""
        head = attrs.pop("head", None)
        attrs = super().validate(attrs)
        return attrs if head is None else {**attrs, "definition": head["definition"]}

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

    class Meta:
        model = WorkflowVersion
        fields = ["id", "version", "state", "sha256", "note", "created_by", "created_at",
                  "released_at"]  # fmt: skip
        read_only_fields = fields


class WorkflowVersionSerializer(WorkflowVersionRowSerializer):
    """A version with its definition."""

    definition = ObjectField(read_only=True)

    class Meta(WorkflowVersionRowSerializer.Meta):
        fields = [*WorkflowVersionRowSerializer.Meta.fields, "definition"]
        read_only_fields = fields


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

"""Tools and their versions as the API shows and takes them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.kit.api import KitSerializer, RelatedId
from controlplane.kit.bodies import Body
from projects.models import Project
from tools import definition, recovery, services
from tools.models import EffectClass, Kind, Stakes, Tool, ToolVersion

OBJECT = {"type": "object", "additionalProperties": True}


@extend_schema_field(OBJECT)
class ObjectField(serializers.JSONField):
    """A JSON object; what is in it is checked elsewhere."""


@extend_schema_field({})
class AnyField(serializers.JSONField):
    """Any JSON value."""


def any_object() -> dict[str, Any]:
    """The schema that every object of arguments fits."""
    return {"type": "object"}


class ToolSerializer(KitSerializer):
    """A tool with its current version."""

    project = RelatedId(queryset=Project.objects.all())
    description = serializers.CharField(default="", allow_blank=True, max_length=4000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), default=list, max_length=50
    )
    status = serializers.ChoiceField(Tool.Status.choices, default=Tool.Status.ACTIVE)
    config = ObjectField()
    input_schema = ObjectField(default=any_object)
    output_schema = ObjectField(default=None, allow_null=True)
    effect_class = serializers.ChoiceField(EffectClass.choices, default=EffectClass.UNSAFE)
    stakes = serializers.ChoiceField(Stakes.choices, default=Stakes.WRITE)
    effect_check = ObjectField(default=None, allow_null=True)
    effect_undo = ObjectField(default=None, allow_null=True)
    rate_limit = ObjectField(default=None, allow_null=True)
    timeout_seconds = serializers.FloatField(default=30, min_value=0.1, max_value=3600)
    version = serializers.IntegerField(read_only=True, allow_null=True)
    approval = serializers.CharField(read_only=True, allow_null=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Tool
        fields = [
            "id",
            "project",
            "slug",
            "name",
            "kind",
            "description",
            "tags",
            "status",
            "config",
            "input_schema",
            "output_schema",
            "effect_class",
            "effect_check",
            "effect_undo",
            "stakes",
            "rate_limit",
            "timeout_seconds",
            "version",
            "approval",
            "created_at",
            "updated_at",
            "url",
            "display",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]

    def validate_rate_limit(self, value: Any) -> Any:
        """{limit, per_seconds, when_limited} with its defaults."""
        return definition.rate_limit(value)

    def validate_effect_check(self, value: Any) -> Any:
        """{tool, arguments, done, not_done, output} with its defaults."""
        return recovery.clean_check(value)

    def validate_effect_undo(self, value: Any) -> Any:
        """{tool, arguments} with its defaults."""
        return recovery.clean_undo(value)

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each tag once, in the order given."""
        return list(dict.fromkeys(value))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules, then the definition as a whole."""
        attrs = super().validate(attrs)
        tool = self.instance
        self._check_recovery(attrs)
        if tool is not None and not any(name in attrs for name in services.DEFINITION):
            return attrs
        kind_name = tool.kind if tool is not None else attrs["kind"]
        known = {name: getattr(tool, name) for name in services.DEFINITION} if tool else {}
        if kind_name == Kind.MCP:
            # The schemas follow the server's tool, also where it is another one now.
            known |= {"input_schema": any_object(), "output_schema": None}
        parts = [attrs[name] if name in attrs else known[name] for name in services.DEFINITION]
        cleaned = definition.clean(kind_name, *parts)
        project = tool.project if tool is not None else attrs["project"]
        named = dict(zip(services.DEFINITION, cleaned, strict=True))
        return attrs | services.complete(project, kind_name, named, tool)

    def _check_recovery(self, attrs: dict[str, Any]) -> None:
        """What a call in doubt is asked or undone by must be there."""
        tool, named = self.instance, (attrs.get("effect_check"), attrs.get("effect_undo"))
        if any(named):
            project = tool.project if tool is not None else attrs["project"]
            recovery.check_named(project, attrs.get("slug") or tool.slug, *named)

    def create(self, validated_data: dict[str, Any]) -> Tool:
        """The tool with its version 1."""
        return services.insert(author=self.context["request"].user, **validated_data)

    def update(self, instance: Tool, validated_data: dict[str, Any]) -> Tool:
        """The changed tool, with a new version where the definition is another."""
        for name in self.immutable:
            validated_data.pop(name, None)
        return services.change(instance, author=self.context["request"].user, **validated_data)


class ToolVersionSerializer(serializers.ModelSerializer):
    """One immutable definition of a tool."""

    version = serializers.IntegerField(source="number", read_only=True)
    config = ObjectField(read_only=True)
    input_schema = ObjectField(read_only=True)
    output_schema = ObjectField(read_only=True, allow_null=True)
    definition = ObjectField(read_only=True, allow_null=True)
    created_by = serializers.CharField(source="created_by_name", read_only=True)

    class Meta:
        model = ToolVersion
        fields = [
            "id",
            "version",
            "config",
            "input_schema",
            "output_schema",
            "definition",
            "definition_sha256",
            "approval",
            "note",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields


class RestoreVersionBody(Body):
    """The body of POST /tools/{id}/rollback."""

    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000)
    note = serializers.CharField(default="", allow_blank=True, max_length=500)


class ApproveDefinitionBody(Body):
    """The body of POST /tools/{id}/approve-definition: the fingerprint of what was seen."""

    definition_sha256 = serializers.CharField(max_length=64, required=False, allow_null=True)
    note = serializers.CharField(default="", allow_blank=True, max_length=500)


class ToolChangeSerializer(serializers.Serializer):
    """One difference between two definitions."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    before = AnyField(allow_null=True)
    after = AnyField(allow_null=True)


class ToolDiffSerializer(serializers.Serializer):
    """What GET /tools/{id}/versions/{n}/diff answers; `base` is null for a first version."""

    base = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField()
    changes = ToolChangeSerializer(many=True)


class ToolUserSerializer(serializers.Serializer):
    """Something that uses a tool."""

    kind = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()


class TryCallSerializer(serializers.Serializer):
    """The body of POST /tools/{id}/test."""

    arguments = AnyField(default=dict)


class TryResultSerializer(serializers.Serializer):
    """What POST /tools/{id}/test answers."""

    ok = serializers.BooleanField()
    output = AnyField(allow_null=True)
    error = ObjectField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)
    request = ObjectField(allow_null=True)
    response = ObjectField(allow_null=True)


class CallFiguresSerializer(serializers.Serializer):
    """What became of a set of calls."""

    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    cost = serializers.CharField(allow_null=True)


class DayFiguresSerializer(CallFiguresSerializer):
    """The calls of one day."""

    at = serializers.DateTimeField()


class AgentFiguresSerializer(CallFiguresSerializer):
    """The calls of one agent."""

    agent = serializers.UUIDField()


class WorkflowFiguresSerializer(CallFiguresSerializer):
    """The calls of one workflow."""

    workflow = serializers.UUIDField()


class ErrorCountSerializer(serializers.Serializer):
    """How often a code ended a call."""

    code = serializers.CharField()
    calls = serializers.IntegerField()


class UsageSerializer(serializers.Serializer):
    """What GET /tools/{id}/usage answers."""

    totals = CallFiguresSerializer()
    days = DayFiguresSerializer(many=True)
    agents = AgentFiguresSerializer(many=True)
    workflows = WorkflowFiguresSerializer(many=True)
    errors = ErrorCountSerializer(many=True)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        """With the period, whose names are words of Python."""
        period = {name: serializers.DateTimeField() for name in ("from", "to")}
        return {**period, **super().get_fields()}


class FunctionSerializer(serializers.Serializer):
    """A function of installed code that can be a tool."""

    name = serializers.CharField()
    description = serializers.CharField()
    input_schema = ObjectField()
    output_schema = ObjectField(allow_null=True)
    options_schema = ObjectField(allow_null=True)
    effect_class = serializers.ChoiceField(EffectClass.choices)
    stakes = serializers.ChoiceField(Stakes.choices)

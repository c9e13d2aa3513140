"""Agents, their versions and instances as the API shows and takes them."""

from typing import Any

from rest_framework import serializers

from agents import config as configs
from agents import services
from agents.connections import completed
from agents.models import Agent, AgentVersion, Instance
from controlplane.kit.api import KitSerializer, RelatedId
from controlplane.kit.bodies import Body
from projects.models import Project
from tools.serializers import AnyField, ObjectField


class AgentRowSerializer(KitSerializer):
    """A row of the list: without the configuration."""

    project = RelatedId(queryset=Project.objects.all())
    description = serializers.CharField(default="", allow_blank=True, max_length=4000)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), default=list, max_length=50
    )
    status = serializers.ChoiceField(Agent.Status.choices, default=Agent.Status.ACTIVE)
    version = serializers.IntegerField(read_only=True, allow_null=True)
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Agent
        fields = [
            "id",
            "project",
            "slug",
            "name",
            "kind",
            "description",
            "tags",
            "status",
            "version",
            "created_at",
            "updated_at",
            "url",
            "display",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]


class ObjectiveBody(Body):
    """What an agent's work should reach over 15 minutes: a share of good ends, and p95 in ms."""

    success_rate = serializers.FloatField(min_value=0.01, max_value=1, default=0.95)
    p95_ms = serializers.FloatField(min_value=1, allow_null=True, default=None)


class AgentSerializer(AgentRowSerializer):
    """An agent with its current version. `note` goes to the version that a change makes."""

    config = ObjectField()
    objective = ObjectiveBody(allow_null=True, default=None)
    note = serializers.CharField(write_only=True, required=False, allow_blank=True, max_length=500)

    class Meta(AgentRowSerializer.Meta):
        fields = [*AgentRowSerializer.Meta.fields, "config", "objective", "note"]

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each tag once, in the order given."""
        return list(dict.fromkeys(value))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules, then the configuration and what it names."""
        attrs = super().validate(attrs)
        if "config" in attrs:
            agent = self.instance
            kind = agent.kind if agent is not None else attrs["kind"]
            project = agent.project if agent is not None else attrs["project"]
            attrs["config"] = completed(project, configs.clean(kind, attrs["config"]))
            services.check_references(project, attrs["config"])
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Agent:
        """The agent with its version 1."""
        return services.insert(author=self.context["request"].user, **validated_data)

    def update(self, instance: Agent, validated_data: dict[str, Any]) -> Agent:
        """The changed agent, with a new version where the configuration is another."""
        for name in self.immutable:
            validated_data.pop(name, None)
        return services.change(instance, author=self.context["request"].user, **validated_data)


class AgentVersionSerializer(serializers.ModelSerializer):
    """One immutable configuration of an agent."""

    version = serializers.IntegerField(source="number", read_only=True)
    config = ObjectField(read_only=True)
    created_by = serializers.CharField(source="created_by_name", read_only=True)
    is_current = serializers.SerializerMethodField()

    class Meta:
        model = AgentVersion
        fields = [
            "id",
            "version",
            "config",
            "sha256",
            "note",
            "created_by",
            "created_at",
            "is_current",
        ]
        read_only_fields = fields

    def get_is_current(self, version: AgentVersion) -> bool:
        """Whether it is what the agent says now."""
        return version.pk == version.agent.current_id


class RollBackBody(Body):
    """The body of POST /agents/{id}/rollback."""

    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000, required=False)
    environment = serializers.CharField(max_length=63, required=False)
    note = serializers.CharField(default="", allow_blank=True, max_length=500)


class ChangeSerializer(serializers.Serializer):
    """One difference between two versions."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    before = AnyField(allow_null=True)
    after = AnyField(allow_null=True)


class DiffSerializer(serializers.Serializer):
    """What GET /agents/{id}/versions/{n}/diff answers."""

    base = serializers.IntegerField()
    version = serializers.IntegerField()
    changes = ChangeSerializer(many=True)


class ConnectionErrorSerializer(serializers.Serializer):
    """Why a connection does not work."""

    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField()


class ConnectionSerializer(serializers.Serializer):
    """What POST /agents/{id}/check-connection answers."""

    ok = serializers.BooleanField()
    provider = serializers.CharField()
    model = serializers.CharField()
    response_model = serializers.CharField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)
    first_token_ms = serializers.FloatField(allow_null=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    price_status = serializers.CharField()
    error = ConnectionErrorSerializer(allow_null=True)


class FindingSerializer(serializers.Serializer):
    """One of the four facts of health."""

    name = serializers.CharField()
    status = serializers.ChoiceField(["ok", "warning", "failing", "unknown"])
    message = serializers.CharField()


class HealthSerializer(serializers.Serializer):
    """What GET /agents/{id}/health answers."""

    status = serializers.ChoiceField(["healthy", "degraded", "unhealthy", "idle"])
    facts = FindingSerializer(many=True)
    checked_at = serializers.DateTimeField()


class FiguresSerializer(serializers.Serializer):
    """What an agent did in a span of time; durations in ms, money as text."""

    runs = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    model_calls = serializers.IntegerField()
    failed_calls = serializers.IntegerField()
    unpriced_calls = serializers.IntegerField()
    call_p50_ms = serializers.FloatField(allow_null=True)
    call_p95_ms = serializers.FloatField(allow_null=True)


class BucketSerializer(FiguresSerializer):
    """The figures of an hour or a day."""

    at = serializers.DateTimeField()


class MetricsSerializer(serializers.Serializer):
    """What GET /agents/{id}/metrics answers."""

    bucket = serializers.ChoiceField(["hour", "day"])
    buckets = BucketSerializer(many=True)
    totals = FiguresSerializer()

    def get_fields(self) -> dict[str, Any]:
        """With the range, whose names are words of Python."""
        period = {name: serializers.DateTimeField() for name in ("from", "to")}
        return {**period, **super().get_fields()}


class InstanceSerializer(serializers.ModelSerializer):
    """A worker process as it last said of itself."""

    deployment = serializers.UUIDField(source="deployment_id", allow_null=True)
    agent = serializers.UUIDField(source="deployment.agent_id", allow_null=True, default=None)
    environment = serializers.CharField(
        source="deployment.environment.name", allow_null=True, default=None
    )
    version = serializers.IntegerField(source="version.number", allow_null=True, default=None)
    is_alive = serializers.SerializerMethodField()

    class Meta:
        model = Instance
        fields = [
            "id",
            "deployment",
            "agent",
            "environment",
            "version",
            "queue",
            "host",
            "pid",
            "state",
            "is_alive",
            "started_at",
            "last_heartbeat_at",
            "stopped_at",
            "in_flight",
            "capacity",
            "rss_bytes",
            "cpu_percent",
        ]
        read_only_fields = fields

    def get_is_alive(self, instance: Instance) -> bool:
        """Whether its last heartbeat is fresh."""
        return instance.is_alive

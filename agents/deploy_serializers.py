"""Deployments, their history and the bodies of their verbs, as the API shows and takes them."""

from typing import Any

from rest_framework import serializers

from agents.history import DeploymentEvent, InstanceSample
from agents.models import Deployment, Instance
from controlplane.kit.bodies import Body
from tools.serializers import AnyField

CONTROLS = {
    "process": {"replicas": True, "concurrency": True, "logs": True, "reason": ""},
    "external": {
        "replicas": False,
        "concurrency": True,
        "logs": False,
        "reason": "Its workers are processes of the operator: start and stop them where they run.",
    },
    "remote": {
        "replicas": False,
        "concurrency": True,
        "logs": False,
        "reason": "It runs at its own address: calls are capped and counted, nothing is started.",
    },
}


class ControlsSerializer(serializers.Serializer):
    """What of a deployment can be controlled from here, and why the rest cannot."""

    replicas = serializers.BooleanField()
    concurrency = serializers.BooleanField()
    logs = serializers.BooleanField()
    reason = serializers.CharField()


class AutoscaleSerializer(Body):
    """How an autoscaled deployment decides."""

    queue_target = serializers.FloatField(min_value=0.05, max_value=1, required=False)
    max_age_seconds = serializers.FloatField(min_value=1, max_value=86_400, required=False)
    cooldown_seconds = serializers.FloatField(min_value=1, max_value=86_400, required=False)


class WaitingSerializer(serializers.Serializer):
    """What people are asked about a deployment before it is made."""

    approval = serializers.UUIDField()
    title = serializers.CharField()
    verb = serializers.ChoiceField(DeploymentEvent.POINTED)
    version = serializers.IntegerField()
    replicas = serializers.IntegerField(allow_null=True)
    by = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class AskedSerializer(serializers.Serializer):
    """What a verb of deployments answers with 202: a policy wants people asked first. `url` is the
    approval in the API; once it is approved the deployment is made exactly as it was asked for."""

    status = serializers.SerializerMethodField()
    approval = serializers.UUIDField(source="asked.id")
    title = serializers.CharField(source="asked.title")
    url = serializers.SerializerMethodField()
    deployment = serializers.SerializerMethodField()

    def get_status(self, row: Any) -> str:
        """It waits."""
        return "waiting"

    def get_url(self, row: Any) -> str:
        """The approval in the API."""
        return f"/api/v1/approvals/{row.asked.id}"

    def get_deployment(self, row: Any) -> "DeploymentSerializer":
        """As it stands meanwhile."""
        return DeploymentSerializer(row.deployment).data  # type: ignore[return-value]


class DeploymentSerializer(serializers.ModelSerializer):
    """An environment pointing at a version of an agent, with what runs for it."""

    agent = serializers.UUIDField(source="agent_id")
    environment = serializers.CharField(source="environment.name")
    version = serializers.IntegerField(source="target_version.number")
    live_version = serializers.IntegerField(
        source="live_version.number", allow_null=True, default=None
    )
    replicas = serializers.IntegerField(source="desired")
    min = serializers.IntegerField(source="replicas_min")
    max = serializers.IntegerField(source="replicas_max")
    ready = serializers.SerializerMethodField()
    autoscale = AnyField(allow_null=True)
    controls = serializers.SerializerMethodField()
    waiting = WaitingSerializer(allow_null=True)

    class Meta:
        model = Deployment
        fields = [
            "id",
            "agent",
            "environment",
            "driver",
            "version",
            "live_version",
            "phase",
            "explanation",
            "replicas",
            "ready",
            "min",
            "max",
            "concurrency",
            "autoscale",
            "controls",
            "waiting",
            "generation",
            "observed_generation",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def get_ready(self, row: Deployment) -> int:
        """Its instances that take work on the wanted version."""
        counted = self.context.get("ready")
        if counted is not None:
            return int(counted.get(row.pk, 0))
        rows = Instance.objects.filter(deployment=row, version=row.target_version_id)
        return rows.filter(state__in=(Instance.State.READY, Instance.State.BUSY)).count()

    def get_controls(self, row: Deployment) -> ControlsSerializer:
        """What can be controlled from here."""
        return CONTROLS[row.driver]  # type: ignore[return-value]


class DeploymentEventSerializer(serializers.ModelSerializer):
    """One line of a deployment's history."""

    environment = serializers.CharField(source="deployment.environment.name")
    version = serializers.IntegerField(source="version.number", allow_null=True, default=None)
    actor = serializers.CharField(source="actor_name")
    signal = AnyField()

    class Meta:
        model = DeploymentEvent
        fields = ["id", "at", "kind", "environment", "version", "reason", "signal", "actor"]
        read_only_fields = fields


class DeployBody(Body):
    """The body of POST /agents/{id}/deploy."""

    environment = serializers.CharField(max_length=63)
    version = serializers.IntegerField(
        min_value=1, max_value=2_000_000_000, required=False, allow_null=True, default=None
    )
    replicas = serializers.IntegerField(
        min_value=0, max_value=10_000, required=False, allow_null=True, default=None
    )
    driver = serializers.ChoiceField(
        ["process", "external", "remote"], required=False, allow_null=True, default=None
    )


class PromoteBody(Body):
    """The body of POST /agents/{id}/promote: to where, and from where if not from below it."""

    environment = serializers.CharField(max_length=63)
    source = serializers.CharField(max_length=63, required=False, allow_null=True, default=None)


class ScaleBody(Body):
    """The body of POST /agents/{id}/scale."""

    environment = serializers.CharField(max_length=63)
    replicas = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    min = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    max = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    concurrency = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    autoscale = AutoscaleSerializer(required=False)


class EnvironmentBody(Body):
    """The body of POST /agents/{id}/retire."""

    environment = serializers.CharField(max_length=63)


class SampleSerializer(serializers.ModelSerializer):
    """What an instance used at a moment."""

    class Meta:
        model = InstanceSample
        fields = ["at", "rss_bytes", "cpu_percent", "in_flight"]
        read_only_fields = fields


class SamplesSerializer(serializers.Serializer):
    """What GET /instances/{id}/samples answers."""

    results = SampleSerializer(many=True)


class LogTailSerializer(serializers.Serializer):
    """What GET /instances/{id}/logs answers: the last lines, where they can be read here."""

    lines = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()


def asked_scale(body: dict[str, Any]) -> dict[str, Any]:
    """A scale body as agents.replicas.scale takes it."""
    return {
        "replicas": body.get("replicas"),
        "least": body.get("min"),
        "most": body.get("max"),
        "concurrency": body.get("concurrency"),
        "autoscale": body.get("autoscale"),
    }


class LineSerializer(Body):
    """An earlier line of a conversation."""

    role = serializers.ChoiceField(["user", "agent"])
    text = serializers.CharField(max_length=20_000, allow_blank=True, trim_whitespace=False)


class PlayBody(Body):
    """The body of POST /agents/{id}/play."""

    message = serializers.CharField(max_length=20_000, trim_whitespace=False)
    version = serializers.IntegerField(
        min_value=1, max_value=2_000_000_000, required=False, allow_null=True, default=None
    )
    history = LineSerializer(many=True, required=False, default=list)


class TurnSerializer(serializers.Serializer):
    """One call that was made while the agent worked."""

    kind = serializers.ChoiceField(["model", "tool"])
    agent = serializers.CharField()
    name = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    arguments = AnyField(allow_null=True)
    is_simulated = serializers.BooleanField()
    error = serializers.CharField(allow_blank=True)
    latency_ms = serializers.FloatField(allow_null=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    price_status = serializers.CharField(allow_null=True)


class PlayErrorSerializer(serializers.Serializer):
    """Why there is no full answer."""

    code = serializers.CharField()
    message = serializers.CharField()


class PlayedSerializer(serializers.Serializer):
    """What POST /agents/{id}/play answers."""

    ok = serializers.BooleanField()
    version = serializers.IntegerField()
    text = serializers.CharField(allow_blank=True)
    data = AnyField(allow_null=True)
    turns = TurnSerializer(many=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    unpriced_calls = serializers.IntegerField()
    elapsed_ms = serializers.FloatField(allow_null=True)
    error = PlayErrorSerializer(allow_null=True)

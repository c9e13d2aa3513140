"""Runs and their parts as the API shows them, and the bodies of its verbs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.models import Agent
from controlplane.kit.api import RelatedId
from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import money
from projects.models import Environment
from runs.explain import explain
from runs.models import Run, Step
from runs.starting import StartRequest
from workflows.models import Workflow


class RunSerializer(serializers.ModelSerializer):
    """A run in full."""

    environment = serializers.SlugRelatedField("name", read_only=True)
    workflow_version = serializers.IntegerField(source="workflow_version.number", read_only=True)
    explanation = serializers.SerializerMethodField()
    started_by = serializers.JSONField(read_only=True)
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)
    cost = serializers.SerializerMethodField()
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Run
        fields = [
            "id",
            "project",
            "workflow",
            "workflow_version",
            "environment",
            "trigger",
            "status",
            "reason",
            "explanation",
            "input",
            "output",
            "error",
            "tags",
            "priority",
            "parent",
            "relation",
            "started_by",
            "created_at",
            "started_at",
            "ended_at",
            "duration_ms",
            "input_tokens",
            "output_tokens",
            "cost",
            "unpriced_calls",
            "currency",
            "last_seq",
            "display",
        ]
        read_only_fields = fields

    def get_explanation(self, run: Run) -> str:
        """One sentence."""
        return explain(
            run.status,
            error=run.error,
            reason=run.reason,
            steps=self.context.get("open_steps"),
            workers=self.context.get("workers"),
        )

    @extend_schema_field({"type": ["string", "null"]})
    def get_cost(self, run: Run) -> str | None:
        """Plain decimal text; null if nothing was priced."""
        return money(run.cost)


class RunRowSerializer(RunSerializer):
    """A run as a row of a list: without payloads."""

    class Meta(RunSerializer.Meta):
        fields = [f for f in RunSerializer.Meta.fields if f not in ("input", "output")]
        read_only_fields = fields


class StrictSerializer(serializers.Serializer):
    """A body whose unknown fields are refused."""

    def to_internal_value(self, data: Any) -> Any:
        """Checked input."""
        if not isinstance(data, Mapping):
            raise InvalidInput("The body must be a JSON object.", code="not_an_object")
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            detail = serializers.ErrorDetail("Unknown field.", "unknown_field")
            raise serializers.ValidationError({name: [detail] for name in unknown})
        return super().to_internal_value(data)


class StartSerializer(StrictSerializer):
    """The body of POST /runs."""

    workflow = RelatedId(
        queryset=Workflow.objects.select_related("project", "released").defer(
            "released__definition"
        )
    )
    environment = serializers.CharField(max_length=63)
    input = serializers.JSONField(default=dict)
    version = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    agent = RelatedId(queryset=Agent.objects.all(), allow_null=True, default=None)
    trigger = serializers.ChoiceField(choices=["manual", "api"], default="api")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=50, default=list
    )
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    deadline_seconds = serializers.FloatField(
        min_value=1, max_value=31_536_000, allow_null=True, default=None
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Environment (by name) and agent are of the workflow's project."""
        project_id = attrs["workflow"].project_id
        name = attrs["environment"]
        environment = self._environment(project_id, name)
        if environment is None:
            raise InvalidInput.of(
                "environment", f"There is no environment {name}.", "does_not_exist"
            )
        attrs["environment"] = environment
        if attrs["agent"] is not None and attrs["agent"].project_id != project_id:
            raise InvalidInput.of("agent", "The agent is of another project.", "does_not_exist")
        return attrs

    def _environment(self, project_id: UUID, name: str) -> Environment | None:
        """Read once for all runs of a batch."""
        seen = self.context.setdefault("seen", {})
        if (project_id, name) not in seen:
            rows = Environment.objects.filter(project_id=project_id, name=name)
            seen[project_id, name] = rows.first()
        return seen[project_id, name]

    def as_request(self, idempotency_key: str | None = None) -> StartRequest:
        """What runs.services.start takes."""
        return StartRequest(**self.validated_data, idempotency_key=idempotency_key)


class CancelSerializer(StrictSerializer):
    """The body of POST /runs/{id}/cancel."""

    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class RetrySerializer(serializers.Serializer):
    """The body of POST /runs/{id}/retry: {from, input?}."""

    def to_internal_value(self, data: Any) -> Any:
        """`from` is a word of Python, so this is read by hand."""
        if not isinstance(data, Mapping):
            raise InvalidInput("The body must be a JSON object.", code="not_an_object")
        if unknown := [name for name in data if name not in ("from", "input")]:
            raise InvalidInput.of(unknown[0], "Unknown field.", "unknown_field")
        start_from = data.get("from", "failed")
        if not isinstance(start_from, str) or not start_from:
            raise InvalidInput.of("from", "Give failed, start or a step's id.")
        return {"start_from": start_from, "input": data.get("input")}


class StepSerializer(serializers.ModelSerializer):
    """A step with its attempts and calls."""

    path = serializers.SerializerMethodField()
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)
    cost = serializers.SerializerMethodField()
    agent = serializers.UUIDField(source="agent_id", read_only=True)
    tool = serializers.UUIDField(source="tool_id", read_only=True)
    approval = serializers.UUIDField(source="approval_id", read_only=True)
    attempts = serializers.SerializerMethodField()
    calls = serializers.SerializerMethodField()

    class Meta:
        model = Step
        fields = [
            "id",
            "node",
            "path",
            "kind",
            "name",
            "status",
            "reason",
            "attempt",
            "input",
            "output",
            "error",
            "started_at",
            "ended_at",
            "duration_ms",
            "input_tokens",
            "output_tokens",
            "cost",
            "agent",
            "tool",
            "approval",
            "attempts",
            "calls",
        ]
        read_only_fields = fields

    def get_path(self, step: Step) -> str | None:
        """Null at the top."""
        return step.path or None

    @extend_schema_field({"type": ["string", "null"]})
    def get_cost(self, step: Step) -> str | None:
        """Plain decimal text; null if nothing was priced."""
        return money(step.cost)

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_attempts(self, step: Step) -> list[dict[str, Any]]:
        """Earlier attempts, then the one the step's own row tells of."""
        earlier = [
            {
                "n": a.n,
                "status": a.status,
                "started_at": a.started_at,
                "ended_at": a.ended_at,
                "error": a.error,
                "worker": a.worker_id,
            }
            for a in sorted(step.attempts.all(), key=lambda a: a.n)
        ]
        told = {a["n"] for a in earlier}
        if step.attempt and step.attempt not in told:
            earlier.append(
                {
                    "n": step.attempt,
                    "status": step.status,
                    "started_at": step.leased_at,
                    "ended_at": step.ended_at,
                    "error": step.error,
                    "worker": step.worker_id,
                }
            )
        return earlier

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_calls(self, step: Step) -> list[dict[str, Any]]:
        """Tool calls and model calls in order."""
        return self.context["calls"].get(step.pk, [])

"""Runs and their parts as the API shows them, and the bodies of its verbs."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.kit.bodies import Body
from controlplane.kit.errors import InvalidInput
from controlplane.kit.json import money
from runs.explain import explain
from runs.models import Run, Step


class RunSerializer(serializers.ModelSerializer):
    """A run in full."""

    environment = serializers.SlugRelatedField("name", read_only=True)
    workflow_version = serializers.IntegerField(source="workflow_version.number", read_only=True)
    explanation = serializers.SerializerMethodField()
    started_by = serializers.JSONField(read_only=True)
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)
    cost = serializers.SerializerMethodField()
    payloads_cleared_at = serializers.DateTimeField(read_only=True, allow_null=True)
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
            "payloads_cleared_at",
            "display",
        ]
        read_only_fields = fields

    def to_representation(self, run: Run) -> dict[str, Any]:
        """The declared fields, read straight from the row: building a field tree for each answer
        costs more than starting the run."""
        return {name: READERS[name](run, self) for name in self.Meta.fields}

    def get_explanation(self, run: Run) -> str:
        """One sentence: as of now where that was asked (`sentences`), else what the row tells."""
        known = self.context.get("sentences", {}).get(run.pk)
        return known or explain(run.status, error=run.error, reason=run.reason)

    @extend_schema_field({"type": ["string", "null"]})
    def get_cost(self, run: Run) -> str | None:
        """Plain decimal text; null if nothing was priced."""
        return money(run.cost)


def _readers() -> dict[str, Any]:
    """Field → how it is read; every field not named here is the row's attribute."""
    named: dict[str, Any] = {
        "project": lambda run, _: run.project_id,
        "workflow": lambda run, _: run.workflow_id,
        "parent": lambda run, _: run.parent_id,
        "environment": lambda run, _: run.environment.name,
        "workflow_version": lambda run, _: run.workflow_version.number,
        "explanation": lambda run, serializer: serializer.get_explanation(run),
        "cost": lambda run, _: money(run.cost),
        "payloads_cleared_at": lambda run, _: run.pins.get("cleared"),
        "display": lambda run, _: str(run),
    }
    plain = {
        name: lambda run, _, name=name: getattr(run, name)
        for name in RunSerializer.Meta.fields
        if name not in named
    }
    return {**named, **plain}


READERS = _readers()


# What rows of a list leave out.
WIDE = ("input", "output", "payloads_cleared_at")


class RunRowSerializer(RunSerializer):
    """A run as a row of a list: without payloads."""

    class Meta(RunSerializer.Meta):
        fields = [f for f in RunSerializer.Meta.fields if f not in WIDE]
        read_only_fields = fields


class StartSerializer(serializers.Serializer):
    """The body of POST /runs as the schema describes it; runs.start_body reads it."""

    workflow = serializers.UUIDField()
    environment = serializers.CharField(max_length=63)
    input = serializers.JSONField(required=False)
    version = serializers.IntegerField(min_value=1, allow_null=True, default=None)
    agent = serializers.UUIDField(allow_null=True, default=None)
    trigger = serializers.ChoiceField(choices=["manual", "api"], default="api")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=50, default=list
    )
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    deadline_seconds = serializers.FloatField(
        min_value=1, max_value=31_536_000, allow_null=True, default=None
    )


class CancelSerializer(Body):
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


class ForkSerializer(RetrySerializer):
    """The body of POST /runs/{id}/fork: {from, input?}; `from` is a step's id, or start."""

    def to_internal_value(self, data: Any) -> Any:
        """As of a retry, but nothing stands for the failed steps."""
        found = super().to_internal_value(data)
        if "from" not in data or found["start_from"] == "failed":
            raise InvalidInput.of("from", "Give a step's id, or start.", "required")
        return found


class StepSerializer(serializers.ModelSerializer):
    """A step with its attempts and calls."""

    path = serializers.SerializerMethodField()
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)
    cost = serializers.SerializerMethodField()
    agent = serializers.UUIDField(source="agent_id", read_only=True, allow_null=True)
    tool = serializers.UUIDField(source="tool_id", read_only=True, allow_null=True)
    approval = serializers.UUIDField(source="approval_id", read_only=True, allow_null=True)
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

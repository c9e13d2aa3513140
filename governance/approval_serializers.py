"""Approvals as the API shows them, and what it takes."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.kit.bodies import Body
from governance.approval_rules import LONGEST_COMMENT
from governance.models import Approval, ApprovalDecision


class DecisionSerializer(serializers.ModelSerializer):
    """One person's word."""

    by = serializers.UUIDField(source="actor_id", read_only=True)
    by_name = serializers.CharField(source="actor", read_only=True)
    at = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ApprovalDecision
        fields = ["by", "by_name", "action", "comment", "arguments", "at"]
        read_only_fields = fields


class ApprovalSerializer(serializers.ModelSerializer):
    """One approval. `arguments` are those that would be executed now; `requested_arguments` those
    that were asked for, where somebody edited them."""

    run = serializers.UUIDField(source="run_id", read_only=True)
    step = serializers.UUIDField(source="step_id", read_only=True)
    arguments = serializers.JSONField(source="shown_arguments", read_only=True)
    requested_arguments = serializers.SerializerMethodField()
    requested_by = serializers.UUIDField(source="requested_by_id", read_only=True)
    decisions = DecisionSerializer(many=True, read_only=True)
    seconds_to_decide = serializers.FloatField(read_only=True)

    class Meta:
        model = Approval
        fields = [
            "id", "project", "run", "step", "subject", "status", "title", "packet", "arguments",
            "requested_arguments", "action_sha256", "shown_sha256", "quorum", "decisions",
            "assignees", "requested_by", "requester_may_approve", "due_at", "on_timeout",
            "escalated_at", "decided_at", "seconds_to_decide", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": ["object", "null"]})
    def get_requested_arguments(self, approval: Approval) -> Any:
        """Null unless somebody edited them."""
        return approval.arguments if approval.edited_arguments is not None else None


class ApprovalRowSerializer(ApprovalSerializer):
    """A row of the list, without the packet."""

    class Meta(ApprovalSerializer.Meta):
        fields = [name for name in ApprovalSerializer.Meta.fields if name != "packet"]
        read_only_fields = fields


class ApproveBody(Body):
    """Yes, perhaps with other arguments; `shown_sha256` is what the person saw."""

    comment = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_COMMENT)
    arguments = serializers.JSONField(required=False, allow_null=True)
    shown_sha256 = serializers.CharField(required=False, allow_blank=True, max_length=64)


class RejectBody(Body):
    """No, and why."""

    comment = serializers.CharField(max_length=LONGEST_COMMENT)
    shown_sha256 = serializers.CharField(required=False, allow_blank=True, max_length=64)


class PersonStatsSerializer(serializers.Serializer):
    """What one person decided."""

    by = serializers.UUIDField()
    name = serializers.CharField()
    decided = serializers.IntegerField()
    approved = serializers.IntegerField()
    rejected = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)


class StatsSerializer(serializers.Serializer):
    """What waits now, what was decided in a period, and by whom."""

    waiting = serializers.IntegerField()
    overdue = serializers.IntegerField()
    oldest_waiting_seconds = serializers.FloatField(allow_null=True)
    decided = serializers.IntegerField()
    approved = serializers.IntegerField()
    rejected = serializers.IntegerField()
    expired = serializers.IntegerField()
    edited = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    p95_seconds = serializers.FloatField(allow_null=True)
    by_person = PersonStatsSerializer(many=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        """`from` is a word of Python."""
        moments = {"from": serializers.DateTimeField(), "to": serializers.DateTimeField()}
        return {**moments, **super().get_fields()}

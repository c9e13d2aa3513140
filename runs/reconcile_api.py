"""The routes of calls in doubt: look, and say what became of them."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import RelatedId, ScopedViewSet
from controlplane.kit.bodies import Body
from controlplane.kit.permissions import require
from runs import reconcile, undoing
from runs.models import Effect
from runs.reconcile_filters import ReconcileFilter
from workflows.models import Workflow


class ReconciliationRowSerializer(serializers.ModelSerializer):
    """A call in doubt as a row: without its arguments and result."""

    project = serializers.UUIDField(source="run.project_id", read_only=True)
    run = serializers.UUIDField(source="run_id", read_only=True)
    step = serializers.UUIDField(source="step_id", read_only=True)
    node = serializers.CharField(source="step.node", read_only=True)
    path = serializers.SerializerMethodField()
    workflow = serializers.UUIDField(source="run.workflow_id", read_only=True)
    workflow_name = serializers.CharField(source="run.workflow.name", read_only=True)
    environment = serializers.CharField(source="run.environment.name", read_only=True)
    run_status = serializers.CharField(source="run.status", read_only=True)
    tool = serializers.UUIDField(source="tool_id", read_only=True, allow_null=True)
    status = serializers.SerializerMethodField()
    resolution = serializers.SerializerMethodField()

    class Meta:
        model = Effect
        fields = [
            "id", "project", "run", "run_status", "step", "node", "path", "workflow",
            "workflow_name", "environment", "tool", "tool_name", "effect_class", "status",
            "resolution", "comment", "created_at", "resolved_at", "resolved_by",
            "compensation_run_id",
        ]  # fmt: skip
        read_only_fields = fields

    def get_path(self, effect: Effect) -> str | None:
        """Of the step; null at the top."""
        return effect.step.path or None

    def get_status(self, effect: Effect) -> str:
        """open or resolved."""
        return "open" if effect.is_open else "resolved"

    @extend_schema_field({"type": ["string", "null"], "enum": ["done", "redo", "compensate", None]})
    def get_resolution(self, effect: Effect) -> str | None:
        """What was said; null while nobody has."""
        return effect.resolution or None


class CheckedSerializer(serializers.Serializer):
    """What the tool's check said last."""

    tool = serializers.CharField()
    verdict = serializers.ChoiceField(["done", "not_done", "unknown"])
    why = serializers.CharField()
    at = serializers.DateTimeField()


class UndoingSerializer(serializers.ModelSerializer):
    """A call that was to undo another; its answer or error is `result`."""

    idempotency_key = serializers.CharField(source="key", read_only=True)
    arguments = serializers.JSONField(read_only=True)
    result = serializers.JSONField(read_only=True)

    class Meta:
        model = Effect
        fields = [
            "id", "tool_name", "state", "arguments", "idempotency_key", "result", "created_at",
            "done_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReconciliationSerializer(ReconciliationRowSerializer):
    """A call in doubt in full."""

    idempotency_key = serializers.CharField(source="key", read_only=True)
    arguments = serializers.JSONField(read_only=True)
    output = serializers.JSONField(source="result", read_only=True)
    output_schema = serializers.SerializerMethodField()
    checked = CheckedSerializer(read_only=True, allow_null=True)
    undo = serializers.SerializerMethodField()
    undoings = serializers.SerializerMethodField()

    class Meta(ReconciliationRowSerializer.Meta):
        fields = [
            *ReconciliationRowSerializer.Meta.fields,
            "idempotency_key", "arguments", "output", "output_schema", "checked",
            "undo", "undoings",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": ["object", "boolean", "null"]})
    def get_output_schema(self, effect: Effect) -> Any:
        """What an output given by hand must fit; null where the tool promises nothing."""
        return reconcile.output_schema(effect)

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_undo(self, effect: Effect) -> Any:
        """{tool, arguments}: what undoes it at the word compensate; null where nothing does."""
        return undoing.named(effect)

    @extend_schema_field(UndoingSerializer(many=True))
    def get_undoings(self, effect: Effect) -> Any:
        """The calls that were to undo it."""
        rows = Effect.objects.filter(step_id=effect.step_id, undoes=effect.pk).order_by("ordinal")
        return UndoingSerializer(rows, many=True).data


class CompensationBody(Body):
    """The workflow that undoes a call."""

    workflow = RelatedId(queryset=Workflow.objects.all())
    input = serializers.JSONField(default=dict)


class ResolveBody(Body):
    """What a person says of a call."""

    action = serializers.ChoiceField(choices=Effect.Resolution.values)
    output = serializers.JSONField(required=False, allow_null=True)
    comment = serializers.CharField(
        max_length=reconcile.LONGEST_COMMENT, allow_blank=True, default=""
    )
    new_key = serializers.BooleanField(default=False)
    compensation = CompensationBody(required=False, allow_null=True)
    by_hand = serializers.BooleanField(default=False)


class ReconciliationViewSet(ScopedViewSet):
    """Calls of which nobody knows whether they happened, and what people said of them."""

    model = Effect
    serializer_class = ReconciliationSerializer
    filterset_class = ReconcileFilter
    http_method_names = ("get", "post", "head", "options")
    ordering_fields = ("created_at", "resolved_at", "tool_name")
    verbs = {"resolve": "reconcile"}

    def get_queryset(self) -> Any:
        """What people are asked, or have answered."""
        rows = super().get_queryset().for_people()
        names = rows.select_related("run__workflow", "run__environment", "step")
        wide = ("run__input", "run__output", "step__input", "step__output", "step__state")
        return names.defer(*wide, *(("arguments", "result") if self.action == "list" else ()))

    def get_serializer_class(self) -> Any:
        """Rows leave arguments and result out."""
        return ReconciliationRowSerializer if self.action == "list" else ReconciliationSerializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One call in doubt."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(exclude=True)
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Only the engine finds calls in doubt."""
        raise MethodNotAllowed("POST")

    @extend_schema(request=ResolveBody, responses={200: ReconciliationSerializer})
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str = "") -> Response:
        """Say that it happened (with its output), is to be made again, or is undone: by the
        workflow named here, else by the tool that its tool names (called now; 409 `undo_failed`
        where that fails), or `by_hand`. Its step goes on by that."""
        row = self.get_object()
        body = ResolveBody.read(request)
        compensation = body.pop("compensation", None)
        if compensation is not None:
            require(request.user, "runs.add_run", compensation["workflow"])
            body["compensation"] = reconcile.Compensation(**compensation)
        reconcile.resolve(row, reconcile.Word(**body), actor=request.user)
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data)

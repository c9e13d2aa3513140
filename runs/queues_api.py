"""The routes of queues: what waits and who works, and what was parked, with its replay."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from controlplane.kit.bodies import Body
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import parse_uuid
from runs.models import Attempt, Run, Step
from runs.queues import Queue, queues_of, replay

MOST_AT_ONCE = 1_000
PROJECT = OpenApiParameter("project", UUID, many=True, description="Of all of the caller's.")


class QueueSerializer(serializers.Serializer):
    """One queue, as far as the caller's projects use it."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(["shared", "deployment"])
    title = serializers.CharField()
    agent = serializers.UUIDField(allow_null=True)
    environment = serializers.SerializerMethodField()
    depth = serializers.IntegerField(help_text="Steps that a worker may take now.")
    held = serializers.IntegerField(help_text="Ready steps of paused runs.")
    oldest_seconds = serializers.FloatField(allow_null=True)
    running = serializers.IntegerField(help_text="Steps under a worker's lease.")
    rate = serializers.FloatField(help_text="Steps ended a second, over the last minute.")
    workers = serializers.IntegerField()
    capacity = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    parked = serializers.IntegerField(help_text="Steps that are parked.")
    parked_runs = serializers.IntegerField()

    def get_environment(self, queue: Queue) -> str | None:
        """Of a deployment's queue."""
        return queue.environment or None


class ParkedSerializer(serializers.ModelSerializer):
    """A parked step."""

    step = serializers.UUIDField(source="id", read_only=True)
    run = serializers.UUIDField(source="run_id", read_only=True)
    workflow = serializers.UUIDField(source="run.workflow_id", read_only=True)
    workflow_name = serializers.CharField(source="run.workflow.name", read_only=True)
    environment = serializers.CharField(source="run.environment.name", read_only=True)
    path = serializers.SerializerMethodField()
    parked_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Step
        fields = [
            "step", "run", "node", "path", "name", "kind", "reason", "crash_count", "error",
            "workflow", "workflow_name", "environment", "parked_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_path(self, step: Step) -> str | None:
        """Null at the top."""
        return step.path or None


class ReplayBody(Body):
    """Which parked runs of the queue are replayed; all of them where none are named."""

    runs = serializers.ListField(
        child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST_AT_ONCE
    )


class RefusedSerializer(serializers.Serializer):
    """A run that was not replayed, and why."""

    run = serializers.UUIDField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ReplayedSerializer(serializers.Serializer):
    """What a bulk replay did; `left` runs are still parked in the queue."""

    replayed = serializers.ListField(child=serializers.UUIDField())
    refused = RefusedSerializer(many=True)
    left = serializers.IntegerField()


def parked_steps(projects: list[UUID], queue: str = "") -> QuerySet[Step]:
    """The parked steps of some projects, the latest first."""
    last = Attempt.objects.filter(step=OuterRef("pk")).order_by("-n").values("ended_at")[:1]
    rows = Step.objects.filter(status="parked", run__project_id__in=projects)
    rows = rows.filter(queue=queue) if queue else rows
    names = rows.select_related("run__workflow", "run__environment")
    wide = ("input", "output", "state", "edges", "run__input", "run__output", "run__pins")
    return names.defer(*wide).annotate(parked_at=Subquery(last)).order_by("-ready_at", "-id")


def replay_all(runs: QuerySet[Run], user: Any) -> tuple[list[UUID], list[dict[str, Any]]]:
    """(the runs that were replayed, those that were refused and why); each by itself."""
    done: list[UUID] = []
    refused: list[dict[str, Any]] = []
    for run in runs[:MOST_AT_ONCE]:
        try:
            if not user.has_perm("runs.retry_run", run):
                raise DomainError(user.refusal(run), code="permission_denied", status=403)
            replay(run, actor=user)
            done.append(run.pk)
        except DomainError as exc:
            refused.append({"run": run.pk, "code": exc.code, "detail": exc.message})
    return done, refused


class QueueViewSet(GenericViewSet):
    """Queues, and what was parked in them."""

    model = Run
    filter_backends = ()
    serializer_class = QueueSerializer
    http_method_names = ("get", "post", "head", "options")

    def verb_for(self, action: str | None) -> str:
        """Replaying is done by those who may retry."""
        return "retry" if action == "replay" else "view"

    def projects(self) -> list[UUID]:
        """The caller's projects, narrowed by ?project=."""
        mine = list(self.request.user.project_roles())
        asked = self.request.query_params.getlist("project")
        if not asked:
            return mine
        keys = [parse_uuid(text) for text in asked]
        if None in keys:
            raise InvalidInput.of("project", "project must be an id.")
        return [key for key in mine if key in keys]

    def get_queue(self) -> Queue:
        """The queue of the path; 404 where the caller's projects do not use it."""
        for queue in queues_of(self.projects()):
            if queue.name == self.kwargs["name"]:
                return queue
        raise Http404

    @extend_schema(parameters=[PROJECT], responses=QueueSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All queues."""
        projects = self.projects()
        page = self.paginate_queryset(queues_of(projects) if projects else []) or []
        return self.get_paginated_response(QueueSerializer(page, many=True).data)

    @extend_schema(parameters=[PROJECT], responses=QueueSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One queue."""
        return Response(QueueSerializer(self.get_queue()).data)

    @extend_schema(parameters=[PROJECT], responses=ParkedSerializer(many=True))
    def parked(self, request: Request, name: str) -> Response:
        """The steps that were parked in it: their workers died on them again and again."""
        rows = parked_steps(self.projects(), self.get_queue().name)
        page = self.paginate_queryset(rows) or []
        return self.get_paginated_response(ParkedSerializer(page, many=True).data)

    @extend_schema(request=ReplayBody, responses=ReplayedSerializer)
    def replay(self, request: Request, name: str) -> Response:
        """Put parked runs back into the queue: those named, or all, at most 1,000 at a time."""
        queue = self.get_queue()
        wanted = ReplayBody.read(request).get("runs")
        parked = parked_steps(self.projects(), queue.name)
        runs = Run.objects.for_list().filter(pk__in=parked.order_by().values("run_id"))
        if wanted:
            runs = runs.filter(pk__in=wanted)
        done, refused = replay_all(runs.order_by("pk"), request.user)
        known = {*done, *(each["run"] for each in refused)}
        missing = "No step of this run is parked in this queue."
        refused += [
            {"run": key, "code": "not_parked", "detail": missing}
            for key in wanted or () if key not in known
        ]  # fmt: skip
        left = parked.order_by().values("run_id").distinct().count()
        return Response(
            ReplayedSerializer({"replayed": done, "refused": refused, "left": left}).data
        )

"""The worker protocol: any process, in any language, takes steps of a worker agent by HTTP.

Register, then beat every 2 s; lease, renew before the lease runs out, report, and complete, fail or
release. A heartbeat that stays away for 8 s, or a lease that is not renewed, gives the step to
another. Whoever speaks for a worker needs `agents.work_agent`, as a person or by an API key.
"""

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from agents.deploying import environment_of
from agents.health import SILENT_SECONDS
from agents.models import Agent, Instance
from controlplane.kit.api import RelatedId
from controlplane.kit.bodies import Body
from controlplane.kit.errors import DomainError
from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import require
from runs import pulling
from runs.logs import LEVELS
from tools.serializers import AnyField, ObjectField

PERMISSION = "agents.work_agent"
ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
TOKEN = OpenApiParameter("token", OpenApiTypes.UUID, OpenApiParameter.PATH)
MOST_CAPACITY = 200
MOST_TOKENS = 2**53


class WorkerRegisterBody(Body):
    """Who comes, for what."""

    agent = RelatedId(queryset=Agent.objects.all())
    environment = serializers.CharField(max_length=63)
    name = serializers.CharField(max_length=120)
    capacity = serializers.IntegerField(min_value=1, max_value=MOST_CAPACITY, default=1)
    about = ObjectField(default=dict)


class RegisteredSerializer(serializers.Serializer):
    """What a worker must know."""

    id = serializers.UUIDField()
    agent = serializers.UUIDField()
    environment = serializers.CharField()
    deployment = serializers.UUIDField()
    capacity = serializers.IntegerField()
    heartbeat_seconds = serializers.FloatField()
    silent_seconds = serializers.FloatField()


class BeatBody(Body):
    """What a worker says of itself."""

    rss_bytes = serializers.IntegerField(min_value=0, max_value=2**62, default=0)
    cpu_percent = serializers.FloatField(min_value=0, max_value=1_000_000, default=0)


class BeatSerializer(serializers.Serializer):
    """What a worker hears: whether to take nothing new, what it holds, what is to be stopped."""

    state = serializers.ChoiceField(Instance.State.choices)
    drain = serializers.BooleanField()
    leases = serializers.ListField(child=serializers.UUIDField())
    cancelled = serializers.ListField(child=serializers.UUIDField())


class LeaseBody(Body):
    """How many steps a worker wants."""

    max = serializers.IntegerField(min_value=1, max_value=pulling.MOST_LEASES, default=1)


class TaskAgentSerializer(serializers.Serializer):
    """Which agent, in which version, and what the worker calls it."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    version = serializers.IntegerField()
    entrypoint = serializers.CharField(allow_blank=True)


class TaskSerializer(serializers.Serializer):
    """One leased step."""

    lease = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    run = serializers.UUIDField()
    step = serializers.UUIDField()
    attempt = serializers.IntegerField()
    environment = serializers.CharField()
    agent = TaskAgentSerializer()
    prompt = serializers.CharField(allow_blank=True)
    output_schema = AnyField(allow_null=True)
    timeout_seconds = serializers.FloatField(allow_null=True)
    simulated = serializers.BooleanField()


class TasksSerializer(serializers.Serializer):
    """What was leased."""

    results = TaskSerializer(many=True)


class RenewedSerializer(serializers.Serializer):
    """Until when the lease holds, and whether the step is to be stopped."""

    expires_at = serializers.DateTimeField()
    cancelled = serializers.BooleanField()


class ReportBody(Body):
    """A line of the run's log."""

    level = serializers.ChoiceField(LEVELS, default="info")
    message = serializers.CharField(max_length=8_000)
    data = AnyField(allow_null=True, default=None)


class CompleteBody(Body):
    """What came of a step."""

    text = serializers.CharField(allow_blank=True, default="", trim_whitespace=False)
    data = AnyField(allow_null=True, default=None)
    input_tokens = serializers.IntegerField(min_value=0, max_value=MOST_TOKENS, default=0)
    output_tokens = serializers.IntegerField(min_value=0, max_value=MOST_TOKENS, default=0)
    cost = serializers.DecimalField(
        max_digits=20, decimal_places=12, min_value=0, allow_null=True, default=None
    )


class FailBody(Body):
    """Why a step did not succeed."""

    message = serializers.CharField(max_length=4_000)
    code = serializers.RegexField(r"^[a-z][a-z0-9_]{0,59}\Z", default="worker_failed")
    retryable = serializers.BooleanField(default=True)
    retry_after = serializers.FloatField(
        min_value=0, max_value=86_400, allow_null=True, default=None
    )


class DoneSerializer(serializers.Serializer):
    """It was written."""

    ok = serializers.BooleanField()


class WorkerViewSet(viewsets.ViewSet):
    """Workers of the operator."""

    permission: ClassVar[str] = PERMISSION

    def worker(self, pk: str) -> Instance:
        """A worker that came by HTTP, where the caller may do its work; else 404 or 403."""
        key = parse_uuid(pk)
        rows = Instance.objects.visible_to(self.request.user)
        rows = rows.filter(deployment__driver="external").select_related("deployment__agent")
        found = rows.filter(pk=key).first() if key else None
        if found is None:
            raise Http404
        require(self.request.user, PERMISSION, found.deployment.agent)
        return found

    def token(self, text: str) -> UUID:
        """A lease token; one that cannot be is as lost as any other."""
        found = parse_uuid(text)
        if found is None:
            raise DomainError(pulling.LOST, code="lease_lost")
        return found

    @extend_schema(request=WorkerRegisterBody, responses={201: RegisteredSerializer})
    def register(self, request: Request) -> Response:
        """A worker comes, for one agent in one environment."""
        body = WorkerRegisterBody.read(request)
        agent = body["agent"]
        require(request.user, PERMISSION, agent)
        worker = pulling.register(
            agent,
            environment_of(agent, body["environment"]),
            name=body["name"],
            capacity=body["capacity"],
            about=body["about"],
            actor=request.user,
        )
        told = {
            "id": worker.pk,
            "agent": agent.pk,
            "environment": body["environment"],
            "deployment": worker.deployment_id,
            "capacity": worker.capacity,
            "heartbeat_seconds": pulling.HEARTBEAT_SECONDS,
            "silent_seconds": SILENT_SECONDS,
        }
        return Response(RegisteredSerializer(told).data, status=201)

    @extend_schema(parameters=[ID], request=BeatBody, responses=BeatSerializer)
    def heartbeat(self, request: Request, pk: str = "") -> Response:
        """The worker lives; it hears what is to be stopped."""
        worker, body = self.worker(pk), BeatBody.read(request)
        return Response(BeatSerializer(pulling.beat(worker, **body)).data)

    @extend_schema(parameters=[ID], request=LeaseBody, responses=TasksSerializer)
    def lease(self, request: Request, pk: str = "") -> Response:
        """Take steps; an empty list where none wait."""
        worker, body = self.worker(pk), LeaseBody.read(request)
        tasks = pulling.lease(worker, body["max"])
        return Response(TasksSerializer({"results": [task.as_dict() for task in tasks]}).data)

    @extend_schema(parameters=[ID], request=None, responses={204: None})
    def leave(self, request: Request, pk: str = "") -> Response:
        """The worker goes; what it holds is given back."""
        pulling.leave(self.worker(pk))
        return Response(status=204)

    @extend_schema(parameters=[ID, TOKEN], request=None, responses=RenewedSerializer)
    def renew(self, request: Request, pk: str = "", token: str = "") -> Response:
        """Hold on to a step."""
        return Response(RenewedSerializer(pulling.renew(self.worker(pk), self.token(token))).data)

    @extend_schema(parameters=[ID, TOKEN], request=ReportBody, responses=DoneSerializer)
    def report(self, request: Request, pk: str = "", token: str = "") -> Response:
        """Write a line to the run's log."""
        worker, key, body = self.worker(pk), self.token(token), ReportBody.read(request)
        pulling.report(worker, key, body["level"], body["message"], body["data"])
        return Response({"ok": True})

    @extend_schema(parameters=[ID, TOKEN], request=CompleteBody, responses=DoneSerializer)
    def complete(self, request: Request, pk: str = "", token: str = "") -> Response:
        """The step succeeded."""
        worker, key, body = self.worker(pk), self.token(token), CompleteBody.read(request)
        pulling.complete(worker, key, body)
        return Response({"ok": True})

    @extend_schema(parameters=[ID, TOKEN], request=FailBody, responses=DoneSerializer)
    def fail(self, request: Request, pk: str = "", token: str = "") -> Response:
        """The step did not succeed; it is tried again where its retry rule says so."""
        worker, key, body = self.worker(pk), self.token(token), FailBody.read(request)
        pulling.fail(worker, key, body)
        return Response({"ok": True})

    @extend_schema(parameters=[ID, TOKEN], request=None, responses=DoneSerializer)
    def release(self, request: Request, pk: str = "", token: str = "") -> Response:
        """Give a step back to others."""
        pulling.give_back(self.worker(pk), self.token(token))
        return Response({"ok": True})


_LEASE_VERBS = ("renew", "report", "complete", "fail", "release")


def routes() -> dict[str, Any]:
    """Path → view, below /api/v1."""
    one, lease = "(?P<pk>[^/.]+)", "(?P<token>[^/.]+)"
    view = WorkerViewSet.as_view
    return {
        "workers/register": view({"post": "register"}),
        f"workers/{one}": view({"delete": "leave"}),
        f"workers/{one}/heartbeat": view({"post": "heartbeat"}),
        f"instances/{one}/heartbeat": view({"post": "heartbeat"}),
        f"workers/{one}/lease": view({"post": "lease"}),
        **{f"workers/{one}/leases/{lease}/{verb}": view({"post": verb}) for verb in _LEASE_VERBS},
    }

"""The routes of agents and instances."""

from typing import Any, ClassVar

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import metrics, services
from agents.comparison import compare
from agents.connection import check_connection
from agents.deploy_api import VERBS, DeployActions
from agents.deploy_serializers import (
    DeploymentSerializer,
    LogTailSerializer,
    SampleSerializer,
    SamplesSerializer,
)
from agents.filters import AgentFilter, InstanceFilter
from agents.logs import tail
from agents.models import Agent, AgentVersion, Instance
from agents.serializers import (
    AgentRowSerializer,
    AgentSerializer,
    AgentVersionSerializer,
    ConnectionSerializer,
    DiffSerializer,
    HealthSerializer,
    InstanceSerializer,
    MetricsSerializer,
    RollBackBody,
)
from agents.wellbeing import Outcome, health
from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import InvalidInput

MOST_LINES = 2_000
MOST_SAMPLES = 360
_NUMBER = r"versions/(?P<number>[^/.]+)"
_NUMBER_PARAMETER = OpenApiParameter("number", int, OpenApiParameter.PATH)


class AgentViewSet(DeployActions, ScopedViewSet):
    """The registry of agents.

    `work` and `outcome` are filled in by the app that knows what became of runs.
    """

    model = Agent
    page = "agents:list"
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    ordering_fields = ("created_at", "updated_at", "name", "slug", "kind", "status")
    verbs: ClassVar[dict[str, str]] = {"check_connection": "try", "rollback": "change", **VERBS}
    audit_fields = ("name", "description", "status", "tags", "version")

    def get_queryset(self) -> Any:
        """The visible agents with their current versions."""
        return super().get_queryset().select_related("current", "project")

    def get_serializer_class(self) -> Any:
        """Rows of the list leave the configuration out."""
        return AgentRowSerializer if self.action == "list" else AgentSerializer

    def used_by(self, row: Agent, *, hard: bool) -> list[str]:
        """What hangs on an agent."""
        return services.used_by(row, hard=hard)

    def work(self, agent: Agent, span: metrics.Range) -> dict[metrics.Key, metrics.Work]:
        """What became of the agent's runs, by bucket; nobody knows here."""
        return {}

    def outcome(self, agent: Agent) -> Outcome | None:
        """(ended, succeeded, p95_ms) of its recent work; None falls back to its model calls."""
        return None

    @extend_schema(responses=AgentVersionSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, pk: str = "") -> Response:
        """All versions, the newest first."""
        rows = self.get_object().versions.select_related("agent")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(AgentVersionSerializer(page, many=True).data)

    @extend_schema(parameters=[_NUMBER_PARAMETER], responses=AgentVersionSerializer)
    @action(detail=True, methods=["get"], url_path=_NUMBER)
    def version(self, request: Request, pk: str = "", number: str = "") -> Response:
        """One version."""
        return Response(AgentVersionSerializer(self._version(number)).data)

    @extend_schema(
        parameters=[_NUMBER_PARAMETER, OpenApiParameter("base", int)], responses=DiffSerializer
    )
    @action(detail=True, methods=["get"], url_path=f"{_NUMBER}/diff")
    def diff(self, request: Request, pk: str = "", number: str = "") -> Response:
        """What a version changed against `?base=` (the one before it)."""
        version = self._version(number)
        text = request.query_params.get("base") or str(max(1, version.number - 1))
        if not (text.isascii() and text.isdigit()):
            raise InvalidInput.of("base", "base is the number of a version.")
        base = version.agent.versions.filter(number=text[:9]).first()
        if base is None:
            raise InvalidInput.of("base", f"There is no version {text[:9]}.", "does_not_exist")
        changes = compare(base.config, version.config)
        return Response({"base": base.number, "version": version.number, "changes": changes})

    def _version(self, number: str) -> AgentVersion:
        agent = self.get_object()
        known = number.isascii() and number.isdigit() and len(number) < 10
        version = agent.versions.filter(number=number).first() if known else None
        if version is None:
            raise Http404
        version.agent = agent
        return version

    @extend_schema(
        request=RollBackBody,
        responses=PolymorphicProxySerializer(
            component_name="RolledBack",
            serializers=[AgentSerializer, DeploymentSerializer],
            resource_type_field_name=None,
        ),
    )
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str = "") -> Response:
        """With `environment`: point it back at the version before (or at `version`) and answer the
        deployment. Without: make an older configuration the current one again, as a new version."""
        agent, body = self.get_object(), RollBackBody.read(request)
        if "environment" in body:
            return self.roll_back_deployment(request, agent, body)
        if "version" not in body:
            raise InvalidInput.of("version", "This field is required.", "required")
        self.check_match(agent)
        rolled = services.roll_back(
            agent, number=body["version"], note=body["note"], actor=request.user
        )
        return self.answer(rolled)

    @extend_schema(request=None, responses=ConnectionSerializer)
    @action(detail=True, methods=["post"], url_path="check-connection")
    def check_connection(self, request: Request, pk: str = "") -> Response:
        """Call the model once, briefly, and say how it went; it may cost a fraction of a cent."""
        return Response(check_connection(self.get_object(), actor=request.user))

    @extend_schema(responses=HealthSerializer)
    @action(detail=True, methods=["get"])
    def health(self, request: Request, pk: str = "") -> Response:
        """Whether the agent is well, from four facts."""
        agent = self.get_object()
        return Response(health(agent, outcome=self.outcome(agent)))

    @extend_schema(
        parameters=[
            OpenApiParameter("from", str),
            OpenApiParameter("to", str),
            OpenApiParameter("bucket", str, enum=["hour", "day"]),
        ],
        responses=MetricsSerializer,
    )
    @action(detail=True, methods=["get"])
    def metrics(self, request: Request, pk: str = "") -> Response:
        """Runs, outcomes, durations, tokens and cost over time."""
        agent, span = self.get_object(), metrics.read_range(request.query_params)
        used = metrics.usage(agent.pk, span)
        return Response(metrics.shape(span, used, self.work(agent, span)))


class InstanceViewSet(ScopedViewSet):
    """Worker processes: those of deployments, and the shared ones."""

    model = Instance
    http_method_names = ("get", "head", "options")
    serializer_class = InstanceSerializer
    filterset_class = InstanceFilter
    ordering_fields = ("started_at", "last_heartbeat_at", "state", "host", "queue")

    def get_queryset(self) -> Any:
        """The visible instances with what their rows show."""
        return (
            super()
            .get_queryset()
            .select_related("deployment__environment", "deployment__agent", "version")
        )

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One instance; it changes with every heartbeat, so it has no ETag."""
        return Response(self.get_serializer(self.get_object()).data)

    def check_object_permissions(self, request: Request, obj: Instance) -> None:
        """A shared instance belongs to no project: whoever sees it may look at it."""
        if obj.deployment is not None:
            super().check_object_permissions(request, obj)

    @extend_schema(
        parameters=[OpenApiParameter("lines", int)], responses=LogTailSerializer, filters=False
    )
    @action(detail=True, methods=["get"])
    def logs(self, request: Request, pk: str = "") -> Response:
        """The last lines an instance wrote (300; `?lines=` up to 2,000)."""
        row = self.get_object()
        if row.deployment is None:
            raise Http404
        asked = request.query_params.get("lines", "300")
        if not (asked.isascii() and asked.isdigit() and 0 < int(asked[:9]) <= MOST_LINES):
            raise InvalidInput.of("lines", f"lines is a number from 1 to {MOST_LINES}.")
        lines, reason = tail(row, int(asked))
        return Response({"lines": lines, "reason": reason})

    @extend_schema(responses=SamplesSerializer, filters=False)
    @action(detail=True, methods=["get"])
    def samples(self, request: Request, pk: str = "") -> Response:
        """Memory, processor and work of the last hour, a sample every 10 s."""
        rows = self.get_object().samples.order_by("-at")[:MOST_SAMPLES]
        return Response({"results": SampleSerializer(reversed(rows), many=True).data})

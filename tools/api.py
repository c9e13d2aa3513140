"""The routes of tools."""

from datetime import timedelta
from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit import links
from controlplane.kit.api import ScopedViewSet
from controlplane.kit.comparison import compare
from controlplane.kit.errors import InvalidInput
from controlplane.kit.periods import moment
from tools import pinned, recovery, services
from tools.filters import ToolFilter
from tools.functions import registry
from tools.models import Tool, ToolVersion
from tools.serializers import (
    ApproveDefinitionBody,
    FunctionSerializer,
    RestoreVersionBody,
    ToolDiffSerializer,
    ToolSerializer,
    ToolUserSerializer,
    ToolVersionSerializer,
    TryCallSerializer,
    TryResultSerializer,
    UsageSerializer,
)
from tools.usage import LONGEST, usage

_PERIOD = timedelta(days=30)
_NUMBER = r"versions/(?P<number>[^/.]+)"
_NUMBER_PARAMETER = OpenApiParameter("number", int, OpenApiParameter.PATH)


class ToolViewSet(ScopedViewSet):
    """The registry of tools."""

    model = Tool
    page = "tools:list"
    serializer_class = ToolSerializer
    filterset_class = ToolFilter
    ordering_fields = ("created_at", "updated_at", "name", "slug", "kind", "status")
    verbs = {"test": "test", "rollback": "change", "approve_definition": "approve"}
    audit_fields = (
        "name",
        "description",
        "status",
        "tags",
        "effect_class",
        "effect_check",
        "effect_undo",
        "stakes",
        "rate_limit",
        "timeout_seconds",
        "version",
    )

    def get_queryset(self) -> Any:
        """The visible tools with their current versions."""
        return super().get_queryset().select_related("current")

    @extend_schema(responses=ToolVersionSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, pk: str = "") -> Response:
        """All versions, the newest first."""
        page = self.paginate_queryset(self.get_object().versions.all())
        return self.get_paginated_response(ToolVersionSerializer(page, many=True).data)

    @extend_schema(parameters=[_NUMBER_PARAMETER], responses=ToolVersionSerializer)
    @action(detail=True, methods=["get"], url_path=_NUMBER)
    def version(self, request: Request, pk: str = "", number: str = "") -> Response:
        """One version."""
        return Response(ToolVersionSerializer(self._version(number)).data)

    @extend_schema(
        parameters=[_NUMBER_PARAMETER, OpenApiParameter("base", int)], responses=ToolDiffSerializer
    )
    @action(detail=True, methods=["get"], url_path=f"{_NUMBER}/diff")
    def diff(self, request: Request, pk: str = "", number: str = "") -> Response:
        """What a version changed against `?base=` (the one before it)."""
        version = self._version(number)
        versions = version.tool.versions
        text = request.query_params.get("base")
        if text is None:
            base = versions.filter(number__lt=version.number).order_by("-number").first()
        elif not (text.isascii() and text.isdigit()):
            raise InvalidInput.of("base", "base is the number of a version.")
        else:
            base = versions.filter(number=text[:9]).first()
            if base is None:
                message = f"There is no version {text[:9]}."
                raise InvalidInput.of("base", message, "does_not_exist")
        changes = compare(base.told(), version.told()) if base else []
        number_of_base = base.number if base else None
        return Response({"base": number_of_base, "version": version.number, "changes": changes})

    def _version(self, number: str) -> ToolVersion:
        tool = self.get_object()
        known = number.isascii() and number.isdigit() and len(number) < 10
        version = tool.versions.filter(number=number).first() if known else None
        if version is None:
            raise Http404
        version.tool = tool
        return version

    @extend_schema(request=RestoreVersionBody, responses=ToolSerializer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str = "") -> Response:
        """Make the definition of an older version the current one again, as a new version."""
        tool, body = self.get_object(), RestoreVersionBody.read(request)
        self.check_match(tool)
        restored = services.restore_version(
            tool, number=body["version"], note=body["note"], actor=request.user
        )
        return self.answer(restored)

    @extend_schema(request=ApproveDefinitionBody, responses=ToolSerializer)
    @action(detail=True, methods=["post"], url_path="approve-definition")
    def approve_definition(self, request: Request, pk: str = "") -> Response:
        """Let a tool in quarantine be called again, with its definition as it is now. With
        `definition_sha256` only if it is the one that was looked at."""
        tool, body = self.get_object(), ApproveDefinitionBody.read(request)
        self.check_match(tool)
        sha256 = body.get("definition_sha256")
        return self.answer(
            pinned.approve(tool, sha256=sha256, note=body["note"], actor=request.user)
        )

    @extend_schema(responses=ToolUserSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def users(self, request: Request, pk: str = "") -> Response:
        """The agents, workflows and tools that use the tool."""
        return Response(ToolUserSerializer(recovery.all_users(self.get_object()), many=True).data)

    def used_by(self, row: Tool, *, hard: bool) -> list[str]:
        """Also tools that ask it, or are undone by it."""
        named = [f"the tool {tool.name}" for tool in recovery.users(row)]
        return named + links.users_of(row, hard=hard)

    @extend_schema(request=TryCallSerializer, responses=TryResultSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str = "") -> Response:
        """Call the tool now with these arguments, for real; nothing of it is kept."""
        tool = self.get_object()
        if not isinstance(request.data, dict):
            raise InvalidInput("The body must be a JSON object.", code="not_an_object")
        for name in request.data:
            if name != "arguments":
                raise InvalidInput.of(str(name), "Unknown field.", "unknown_field")
        return Response(
            services.try_call(tool, request.data.get("arguments", {}), actor=request.user)
        )

    @extend_schema(
        parameters=[OpenApiParameter("from", str), OpenApiParameter("to", str)],
        responses=UsageSerializer,
        filters=False,
    )
    @action(detail=True, methods=["get"])
    def usage(self, request: Request, pk: str = "") -> Response:
        """Calls, errors, latency and cost of a period: in all, by day, by agent, by workflow."""
        tool = self.get_object()
        until = moment(request.query_params.get("to"), "to") or timezone.now()
        since = moment(request.query_params.get("from"), "from") or until - _PERIOD
        if not timedelta(0) <= until - since <= LONGEST:
            raise InvalidInput.of("from", "from lies before to, by at most 366 days.")
        return Response(usage(tool, since, until))

    @extend_schema(responses=FunctionSerializer(many=True), filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def functions(self, request: Request) -> Response:
        """The functions of installed code that a tool of kind python may name."""
        found = [registry.get(name) for name in registry.names()]
        return Response(FunctionSerializer(found, many=True).data)

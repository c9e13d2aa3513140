"""The routes of tools."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import InvalidInput
from controlplane.kit.periods import moment
from tools import services
from tools.filters import ToolFilter
from tools.functions import registry
from tools.models import Tool
from tools.serializers import (
    FunctionSerializer,
    ToolSerializer,
    ToolVersionSerializer,
    TryCallSerializer,
    TryResultSerializer,
    UsageSerializer,
)
from tools.usage import LONGEST, usage

_PERIOD = timedelta(days=30)


class ToolViewSet(ScopedViewSet):
    """The registry of tools."""

    model = Tool
    page = "tools:list"
    serializer_class = ToolSerializer
    filterset_class = ToolFilter
    ordering_fields = ("created_at", "updated_at", "name", "slug", "kind", "status")
    verbs = {"test": "test"}
    audit_fields = (
        "name",
        "description",
        "status",
        "tags",
        "effect_class",
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

"""The routes of MCP servers."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from tools import servers
from tools.filters import ToolServerFilter
from tools.models import ToolServer
from tools.serializers import ToolSerializer
from tools.server_serializers import ImportBody, ToolServerSerializer


class ImportedTools(serializers.Serializer):
    """The tools of an import, in the order asked for."""

    tools = ToolSerializer(many=True)


class ToolServerViewSet(ScopedViewSet):
    """The MCP servers of projects."""

    model = ToolServer
    serializer_class = ToolServerSerializer
    filterset_class = ToolServerFilter
    ordering_fields = ("created_at", "updated_at", "name", "status", "last_discovered_at")
    verbs = {"discover": "change", "refresh": "change", "import_tools": "change"}
    audit_fields = ("name", "description", "url", "auth", "tags", "timeout_seconds")

    def get_queryset(self) -> Any:
        """The visible servers."""
        return super().get_queryset().select_related("project")

    def used_by(self, row: ToolServer, *, hard: bool) -> list[str]:
        """The tools that would lose their server; of those in the trash only an end for good."""
        tools = row.tools.all() if hard else row.tools.alive()
        return [f"the tool {name}" for name in tools.values_list("name", flat=True)[:20]]

    @extend_schema(request=None, responses=ToolServerSerializer)
    @action(detail=True, methods=["post"])
    def discover(self, request: Request, pk: str = "") -> Response:
        """Ask the server what it offers; imported tools whose definition changed go into
        quarantine. 409 says why a server did not tell."""
        return self.answer(servers.discover(self.get_object(), actor=request.user))

    @extend_schema(request=None, responses=ToolServerSerializer)
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str = "") -> Response:
        """The same as discover."""
        return self.answer(servers.discover(self.get_object(), actor=request.user))

    @extend_schema(request=ImportBody, responses={201: ImportedTools})
    @action(detail=True, methods=["post"], url_path="import")
    def import_tools(self, request: Request, pk: str = "") -> Response:
        """Make tools of what the server offers; those imported before are answered as they are."""
        server, body = self.get_object(), ImportBody.read(request)
        made = servers.import_tools(server, body["tools"], actor=request.user)
        context = self.get_serializer_context()
        data = ToolSerializer(made, many=True, context=context).data
        return Response({"tools": data}, status=status.HTTP_201_CREATED)

"""MCP servers as the API shows and takes them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.kit.api import KitSerializer, RelatedId
from controlplane.kit.bodies import Body
from projects.models import Project
from tools import servers
from tools.models import ToolServer
from tools.serializers import ObjectField


class OfferedSerializer(serializers.Serializer):
    """A tool that a server offers. `fault` says why it cannot be imported; `tool` is the id of the
    project's tool made of it."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    input_schema = ObjectField()
    output_schema = ObjectField(allow_null=True)
    annotations = ObjectField()
    sha256 = serializers.CharField()
    fault = serializers.CharField()
    tool = serializers.UUIDField(allow_null=True)
    approval = serializers.CharField(allow_null=True)


class ToolServerSerializer(KitSerializer):
    """An MCP server with what it offered when it was last asked."""

    immutable = ("project",)

    project = RelatedId(queryset=Project.objects.all())
    description = serializers.CharField(default="", allow_blank=True, max_length=4000)
    auth = ObjectField(default=None, allow_null=True)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=60), default=list, max_length=50
    )
    timeout_seconds = serializers.FloatField(default=30, min_value=0.1, max_value=600)
    status = serializers.ChoiceField(ToolServer.Status.choices, read_only=True)
    info = ObjectField(read_only=True)
    tools = serializers.SerializerMethodField()
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = ToolServer
        fields = [
            "id",
            "project",
            "name",
            "description",
            "url",
            "auth",
            "tags",
            "timeout_seconds",
            "status",
            "info",
            "tools",
            "last_discovered_at",
            "last_error",
            "created_at",
            "updated_at",
            "display",
        ]
        read_only_fields = ["id", "last_discovered_at", "last_error", "created_at", "updated_at"]

    @extend_schema_field(OfferedSerializer(many=True))
    def get_tools(self, server: ToolServer) -> list[dict[str, Any]]:
        """What it offers, with the tools made of it; lists leave it out."""
        if self.parent is not None:
            return []
        return OfferedSerializer(servers.offered(server), many=True).data

    def validate_tags(self, value: list[str]) -> list[str]:
        """Each tag once, in the order given."""
        return list(dict.fromkeys(value))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The model's rules, then URL and credentials together."""
        attrs = super().validate(attrs)
        server = self.instance
        if server is not None and not {"url", "auth"} & attrs.keys():
            return attrs
        project = server.project if server is not None else attrs["project"]
        url, auth = (
            attrs[name] if name in attrs else getattr(server, name) for name in ("url", "auth")
        )
        if server is not None and url != server.url:
            # What was discovered is that of another place until somebody asks again.
            attrs["status"] = ToolServer.Status.NEW
        return attrs | servers.clean(url, auth, project)


class ImportBody(Body):
    """The body of POST /tool-servers/{id}/import: names of tools the server offers."""

    tools = serializers.ListField(
        child=serializers.CharField(max_length=128),
        min_length=1,
        max_length=servers.MOST_IMPORTED,
    )

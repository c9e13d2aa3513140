"""The routes of exports: ask for one, see how far it is, take the file, throw it away."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import exports
from analytics.filters import ExportFilter
from analytics.models import Export
from analytics.views import file_of
from controlplane.kit.api import RelatedId, ScopedViewSet
from controlplane.kit.bodies import Body
from controlplane.kit.exporting import listing_of
from controlplane.kit.permissions import require
from projects.models import Project

# The collection of the API → the page whose list is exported.
LISTS = {
    "runs": "runs:list",
    "workflows": "workflows:list",
    "agents": "agents:list",
    "tools": "tools:list",
    "approvals": "approvals:history",
    "audit": "audit:list",
}


class ExportSerializer(serializers.ModelSerializer):
    """An export and how far it is."""

    list = serializers.SerializerMethodField()
    file = serializers.SerializerMethodField()
    display = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Export
        fields = [
            "id", "project", "list", "query", "format", "status", "rows", "total", "size_bytes",
            "error", "file", "created_at", "started_at", "ended_at", "expires_at", "display",
        ]  # fmt: skip
        read_only_fields = fields

    def get_list(self, export: Export) -> str:
        """The name of the list, or the path of its page."""
        paths = {reverse(page): name for name, page in LISTS.items()}
        return paths.get(export.path, export.path)

    def get_file(self, export: Export) -> str | None:
        """Where the file is; null until it is ready."""
        return f"/api/v1/exports/{export.pk}/file" if export.status == "done" else None


class ExportBody(Body):
    """The body of POST /exports: the filters of the list as an object, as its query would be."""

    project = RelatedId(queryset=Project.objects.all())
    list = serializers.ChoiceField(list(LISTS))
    format = serializers.ChoiceField(Export.Format.choices, default="csv")
    query = serializers.DictField(default=dict)

    def validate_query(self, value: dict[str, Any]) -> str:
        """As the text of a query; a list repeats its parameter."""
        pairs = []
        for name, given in value.items():
            for one in given if isinstance(given, list) else [given]:
                if not isinstance(one, str | int | float):
                    raise serializers.ValidationError(f"{name} is text or a list of texts.")
                pairs.append((name, str(one).lower() if isinstance(one, bool) else one))
        return urlencode(pairs)


class ExportViewSet(ScopedViewSet):
    """The caller's own exports, the newest first."""

    model = Export
    page = "exports:list"
    serializer_class = ExportSerializer
    filterset_class = ExportFilter
    http_method_names = ("get", "post", "delete", "head", "options")
    ordering_fields = ("created_at", "status", "rows")

    def get_queryset(self) -> QuerySet:
        """With the project, which is asked for the role."""
        return super().get_queryset().select_related("project")

    @extend_schema(request=ExportBody, responses={201: ExportSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask for a file of a list; it is made in the background."""
        body = ExportBody.read(request)
        require(request.user, "analytics.add_export", body["project"])
        listing = listing_of(
            reverse(LISTS[body["list"]]), kind=body["format"], user=request.user,
            project=body["project"], query=body["query"], given=request,
        )  # fmt: skip
        listing.rows()  # a bad filter is told now
        export = exports.begin(listing, actor=request.user)
        return Response(self.get_serializer(export).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One export; it changes while it is made, so it has no ETag."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def file(self, request: Request, pk: str = "") -> HttpResponseBase:
        """The file; 409 `not_ready` while it is made."""
        return file_of(self.get_object(), request.user)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Throw it away, with its file; one that is being made stops."""
        exports.throw_away(self.get_object(), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

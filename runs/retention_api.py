"""GET /projects/{id}/retention: the rules about data, and what was removed by them."""

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from controlplane.kit.ids import parse_uuid
from controlplane.kit.permissions import require
from projects.models import Project
from runs.retention_views import facts_of


class RetentionSerializer(serializers.Serializer):
    """Days a project keeps what, how much there is, what was removed."""

    retention_days = serializers.IntegerField()
    log_retention_days = serializers.IntegerField(allow_null=True)
    payload_retention_days = serializers.IntegerField(allow_null=True)
    runs = serializers.IntegerField(help_text="Exact to 10,000.")
    runs_exact = serializers.BooleanField()
    oldest_run_at = serializers.DateTimeField(allow_null=True)
    runs_deleted = serializers.IntegerField()
    log_lines_deleted = serializers.IntegerField()
    payloads_cleared = serializers.IntegerField()
    swept_at = serializers.DateTimeField(allow_null=True)


class RetentionView(APIView):
    """The rules are changed by PATCH /projects/{id}."""

    permission = "projects.view_project"
    http_method_names = ("get", "head", "options")

    @extend_schema(
        responses=RetentionSerializer,
        parameters=[OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
    )
    def get(self, request: Request, pk: str) -> Response:
        """Of one project."""
        key = parse_uuid(pk)
        rows = Project.objects.visible_to(request.user)
        project = rows.filter(pk=key).first() if key else None
        if project is None:
            raise Http404
        require(request.user, self.permission, project)
        return Response(RetentionSerializer(facts_of(project)).data)

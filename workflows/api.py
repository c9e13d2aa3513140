"""The routes of workflows."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from controlplane.kit.errors import InvalidInput
from workflows import services
from workflows.filters import WorkflowFilter
from workflows.graph.difference import difference
from workflows.models import Workflow, WorkflowVersion
from workflows.serializers import (
    NoteBody,
    ValidateBody,
    ValidationSerializer,
    WorkflowDiffSerializer,
    WorkflowRowSerializer,
    WorkflowSerializer,
    WorkflowVersionRowSerializer,
    WorkflowVersionSerializer,
)

_NUMBER = r"versions/(?P<number>[^/.]+)"
_NUMBER_PARAMETER = OpenApiParameter("number", int, OpenApiParameter.PATH)


class WorkflowViewSet(ScopedViewSet):
    """Workflows, their drafts and versions."""

    model = Workflow
    page = "workflows:list"
    serializer_class = WorkflowSerializer
    filterset_class = WorkflowFilter
    ordering_fields = ("created_at", "updated_at", "name", "slug", "status")
    verbs = {
        "validate": "validate",
        "publish": "publish",
        "restore_version": "change",
        "deprecate": "publish",
    }
    audit_fields = (
        "name", "description", "status", "tags", "concurrency_limit", "concurrency_key",
        "concurrency_key_limit",
    )  # fmt: skip

    def get_queryset(self) -> Any:
        """The visible workflows with their newest and released versions."""
        rows = super().get_queryset().select_related("head", "released")
        if self.action == "list":
            rows = rows.defer("head__definition", "released__definition")
        return rows

    def get_serializer_class(self) -> Any:
        """Rows of the list leave the definition out."""
        return WorkflowRowSerializer if self.action == "list" else WorkflowSerializer

    def facts(self, row: Workflow) -> dict[str, Any]:
        """What the audit log keeps: the definition by its fingerprint."""
        head = row.head
        version = {"version": head.number, "sha256": head.sha256} if head else {}
        return {**super().facts(row), **version}

    @extend_schema(request=ValidateBody, responses=ValidationSerializer)
    @action(detail=True, methods=["post"])
    def validate(self, request: Request, pk: str = "") -> Response:
        """The faults of a given definition, or of the newest version."""
        workflow = self.get_object()
        definition = ValidateBody.read(request).get("definition", workflow.head.drawn)
        faults = services.faults_of(workflow, definition)
        return Response({"valid": not faults, "faults": [f.as_dict() for f in faults]})

    @extend_schema(request=NoteBody, responses={201: WorkflowVersionSerializer})
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str = "") -> Response:
        """Release the draft."""
        workflow = self.get_object()
        self.check_match(workflow)
        note = NoteBody.read(request)["note"]
        version = services.publish(workflow, actor=request.user, note=note)
        version.workflow = workflow
        return Response(WorkflowVersionSerializer(version).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=WorkflowVersionRowSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def versions(self, request: Request, pk: str = "") -> Response:
        """All versions, the newest first."""
        rows = self.get_object().versions.defer("definition", "layout").select_related("workflow")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(WorkflowVersionRowSerializer(page, many=True).data)

    def version(self, number: str) -> WorkflowVersion:
        """The version of the path, 404 where there is none."""
        workflow = self.get_object()
        found = None
        if number.isascii() and number.isdigit() and len(number) < 10:
            found = workflow.versions.filter(number=number).first()
        if found is None:
            raise Http404
        found.workflow = workflow
        return found

    @extend_schema(parameters=[_NUMBER_PARAMETER], responses=WorkflowVersionSerializer)
    @action(detail=True, methods=["get"], url_path=_NUMBER, url_name="version")
    def version_detail(self, request: Request, pk: str = "", number: str = "") -> Response:
        """One version with its definition."""
        return Response(WorkflowVersionSerializer(self.version(number)).data)

    @extend_schema(
        parameters=[_NUMBER_PARAMETER, OpenApiParameter("base", int)],
        responses=WorkflowDiffSerializer,
    )
    @action(detail=True, methods=["get"], url_path=f"{_NUMBER}/diff")
    def diff(self, request: Request, pk: str = "", number: str = "") -> Response:
        """What a version changed against `?base=` (the one before it), as graph and as JSON."""
        version = self.version(number)
        text = request.query_params.get("base") or str(max(1, version.number - 1))
        if not (text.isascii() and text.isdigit()):
            raise InvalidInput.of("base", "base is the number of a version.")
        base = version.workflow.versions.filter(number=text[:9]).first()
        if base is None:
            raise InvalidInput.of("base", f"There is no version {text[:9]}.", "does_not_exist")
        found = difference(base.definition, version.definition)
        return Response({"base": base.number, "version": version.number, **found})

    @extend_schema(
        parameters=[_NUMBER_PARAMETER],
        request=NoteBody,
        responses={201: WorkflowVersionSerializer},
    )
    @action(detail=True, methods=["post"], url_path=f"{_NUMBER}/restore")
    def restore_version(self, request: Request, pk: str = "", number: str = "") -> Response:
        """Take an older definition up again as the draft."""
        version = self.version(number)
        note = NoteBody.read(request)["note"]
        head = services.restore_version(
            version.workflow, version.number, actor=request.user, note=note
        )
        return Response(WorkflowVersionSerializer(head).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[_NUMBER_PARAMETER], request=None, responses=WorkflowVersionSerializer
    )
    @action(detail=True, methods=["post"], url_path=f"{_NUMBER}/deprecate")
    def deprecate(self, request: Request, pk: str = "", number: str = "") -> Response:
        """Let new runs use another version."""
        version = services.deprecate(self.version(number), actor=request.user)
        return Response(WorkflowVersionSerializer(version).data)

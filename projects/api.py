"""The routes of projects, their environments, members, secrets and API keys."""

from functools import cached_property
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.api import ScopedViewSet
from controlplane.kit.ids import parse_uuid
from controlplane.kit.models import Event
from controlplane.kit.permissions import require
from projects import services
from projects.filters import (
    EnvironmentFilter,
    ProjectFilter,
)
from projects.models import Environment, Membership, Project
from projects.roles import allows
from projects.serializers import (
    EnvironmentSerializer,
    ProjectSerializer,
)

RUNS_AT_ONCE = 1_000


class ProjectViewSet(ScopedViewSet):
    """Projects of the caller."""

    model = Project
    serializer_class = ProjectSerializer
    filterset_class = ProjectFilter
    ordering_fields = ("created_at", "updated_at", "name", "slug")
    audit_fields = (
        "name", "description", "content_capture", "retention_days", "log_retention_days",
        "payload_retention_days",
    )  # fmt: skip
    verbs = {"archive": "archive", "activate": "archive", "leave": "view"}

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A project of the caller's own, with the environments dev, staging and prod."""
        if request.user.api_key is not None:
            raise PermissionDenied("An API key belongs to one project and makes no others.")
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        project = self.guarded(
            lambda: services.create_project(actor=request.user, **serializer.validated_data)
        )
        return self.answer(project, status.HTTP_201_CREATED)

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str = "") -> Response:
        """Back from the trash, for who was its owner."""
        project = None
        if parse_uuid(pk):
            project = Project.objects.in_trash(request.user).filter(pk=pk).first()
        if project is None:
            raise Http404
        self.require_owner(project)
        self.bring_back(project)
        return self.answer(project)

    def require_owner(self, project: Project) -> None:
        """A project in the trash is its owner's alone; 403 for its other members."""
        user = self.request.user
        role = Membership.objects.get(project=project, user=user).role
        permission = "projects.delete_project"
        if not (allows(role, permission) and user.in_scope(permission)):
            raise PermissionDenied("Only the owner may bring a project back, or end it for good.")

    def bring_back(self, row: Project) -> None:
        """Its members have their roles again."""
        super().bring_back(row)
        self.request.user.forget_roles()

    def delete_for_good(self, row: Project) -> None:
        """Its runs and their events first: runs hold on to the versions they ran."""
        while keys := list(row.runs.values_list("pk", flat=True)[:RUNS_AT_ONCE]):
            row.runs.filter(pk__in=keys).delete()
        Event.objects.filter(project_id=row.pk).delete()
        super().delete_for_good(row)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str = "") -> Response:
        """Make the project read-only."""
        return self.answer(services.set_archived(self.get_object(), True, actor=request.user))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str = "") -> Response:
        """Wake an archived project."""
        return self.answer(services.set_archived(self.get_object(), False, actor=request.user))

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, pk: str = "") -> Response:
        """End one's own membership."""
        membership = Membership.objects.get(project=self.get_object(), user=request.user)
        services.remove_member(membership, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class InProject(ScopedViewSet):
    """Rows at /projects/{project_pk}/…"""

    @cached_property
    def project(self) -> Project:
        """The project of the path; 404 where the caller may not see it."""
        key = parse_uuid(self.kwargs["project_pk"])
        found = Project.objects.visible_to(self.request.user).filter(pk=key).first()
        if key is None or found is None:
            raise Http404
        return found

    def get_queryset(self) -> QuerySet:
        """The rows of that project."""
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset
        return queryset.filter(project=self.project)

    def require_create(self, attrs: dict[str, Any]) -> None:
        """The role in the project of the path must allow adding."""
        meta = self.model._meta
        permission = f"{meta.app_label}.add_{meta.model_name}"
        require(self.request.user, permission, self.project)

    def perform_create(self, serializer: Any) -> Any:
        """A row of that project."""
        return serializer.save(project=self.project)


class EnvironmentViewSet(InProject):
    """Environments; a path names one by id or by name."""

    model = Environment
    serializer_class = EnvironmentSerializer
    filterset_class = EnvironmentFilter
    ordering_fields = ("rank", "name", "created_at")
    audit_fields = ("name", "rank", "protected", "variables")

    def get_object(self) -> Environment:
        """By id or by name."""
        if parse_uuid(self.kwargs["pk"]) is None:
            found = self.get_queryset().filter(name=self.kwargs["pk"]).first()
            self.kwargs["pk"] = str(found.pk) if found else ""
        return super().get_object()

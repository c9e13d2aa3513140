"""The freeze switch by the API: routes of projects that are heard by their runs."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.kit.bodies import Body
from projects.api import ProjectViewSet
from projects.freezing import LONGEST_REASON
from projects.models import Environment, Project
from projects.serializers import ProjectSerializer
from projects.services import environment_named
from runs import freezing


class ThawBody(Body):
    """What is meant: one environment, by name, or the whole project."""

    environment = serializers.CharField(required=False, allow_null=True, default=None)


class FreezeBody(ThawBody):
    """What is frozen, and why."""

    reason = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=LONGEST_REASON
    )


class FreezableProjectViewSet(ProjectViewSet):
    """Projects, with the switch that stops everything new in them."""

    verbs = {**ProjectViewSet.verbs, "freeze": "freeze", "unfreeze": "freeze"}

    @extend_schema(request=FreezeBody, responses={200: ProjectSerializer})
    @action(detail=True, methods=["post"])
    def freeze(self, request: Request, pk: str = "") -> Response:
        """Start nothing new in the project, or in one environment of it, until it is thawed:
        running steps finish the call they are in. Twice changes nothing."""
        project, body = self.get_object(), FreezeBody.read(request)
        where = self._environment(project, body["environment"])
        freezing.freeze(project, where, actor=request.user, reason=body["reason"])
        return self._now(project)

    @extend_schema(request=ThawBody, responses={200: ProjectSerializer})
    @action(detail=True, methods=["post"])
    def unfreeze(self, request: Request, pk: str = "") -> Response:
        """Let everything go on by itself. What is not frozen stays so."""
        project, body = self.get_object(), ThawBody.read(request)
        where = self._environment(project, body["environment"])
        freezing.thaw(project, where, actor=request.user)
        return self._now(project)

    @staticmethod
    def _environment(project: Project, name: str | None) -> Environment | None:
        return environment_named(project, name) if name is not None else None

    def _now(self, project: Project) -> Response:
        project.refresh_from_db()
        return self.answer(project)

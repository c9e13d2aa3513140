"""The routes of agents that deploy and scale."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import deploying, replicas
from agents.asking import Waiting
from agents.deploy_serializers import (
    AskedSerializer,
    DeployBody,
    DeploymentEventSerializer,
    DeploymentSerializer,
    EnvironmentBody,
    PlayBody,
    PlayedSerializer,
    PromoteBody,
    ScaleBody,
    asked_scale,
)
from agents.history import DeploymentEvent
from agents.models import Agent, Deployment
from agents.playground import play
from controlplane.kit.permissions import require
from projects.models import Environment

VERBS = {
    "play": "try",
    "deploy": "deploy",
    "promote": "deploy",
    "retire": "deploy",
    "scale": "scale",
}


POINTED = {201: DeploymentSerializer, 202: AskedSerializer}


def said(found: Deployment | Waiting, status: int) -> Response:
    """The deployment; 202 with the approval where people are asked first."""
    if not isinstance(found, Waiting):
        return Response(DeploymentSerializer(found).data, status=status)
    data = AskedSerializer(found).data
    return Response(data, status=202, headers={"Location": data["url"]})


def require_deploy(user: Any, agent: Agent, environment: Environment) -> None:
    """What is protected takes more than the right to deploy."""
    if environment.protected:
        require(user, "agents.deploy_protected_agent", agent)


def deployments_of(agent: Agent) -> Any:
    """The deployments of an agent with what their rows show."""
    rows = Deployment.objects.filter(agent=agent)
    return rows.select_related("environment", "target_version", "live_version", "agent")


class DeployActions:
    """Deploy, promote, roll back, retire and scale; what is deployed, and how it came about."""

    get_object: Any
    paginate_queryset: Any
    get_paginated_response: Any

    @extend_schema(request=DeployBody, responses=POINTED)
    @action(detail=True, methods=["post"])
    def deploy(self, request: Request, pk: str = "") -> Response:
        """Point an environment at a version; the fleet starts its instances."""
        agent, body = self.get_object(), DeployBody.read(request)
        environment = self._environment(request, agent, body["environment"])
        found = deploying.deploy(
            agent,
            environment,
            version=body["version"],
            replicas=body["replicas"],
            driver=body["driver"],
            actor=request.user,
        )
        return said(found, 201)

    @extend_schema(request=PromoteBody, responses=POINTED)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str = "") -> Response:
        """Deploy to an environment what is live in the one before it, or in `source`."""
        agent, body = self.get_object(), PromoteBody.read(request)
        target = self._environment(request, agent, body["environment"])
        source = None
        if body["source"] is not None:
            source = deploying.environment_of(agent, body["source"], "source")
        found = deploying.promote(agent, target, source=source, actor=request.user)
        return said(found, 201)

    @extend_schema(request=EnvironmentBody, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str = "") -> Response:
        """Take the agent out of an environment; its instances finish their work and end."""
        agent, body = self.get_object(), EnvironmentBody.read(request)
        environment = self._environment(request, agent, body["environment"])
        found = deploying.retire(agent, environment, actor=request.user)
        return Response(DeploymentSerializer(found).data)

    @extend_schema(request=ScaleBody, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def scale(self, request: Request, pk: str = "") -> Response:
        """Set the number of instances and how much each does at once, or let the work decide."""
        agent, body = self.get_object(), ScaleBody.read(request)
        environment = deploying.environment_of(agent, body["environment"])
        with transaction.atomic():
            found = deploying.deployment_of(agent, environment)
            replicas.scale(found, actor=request.user, **asked_scale(body))
        return Response(DeploymentSerializer(found).data)

    @extend_schema(request=PlayBody, responses=PlayedSerializer)
    @action(detail=True, methods=["post"])
    def play(self, request: Request, pk: str = "") -> Response:
        """Talk to a version, outside of any run: each turn with its tokens, time and cost."""
        agent, body = self.get_object(), PlayBody.read(request)
        answer = play(
            agent,
            body["message"],
            version=body["version"],
            history=body["history"],
            actor=request.user,
        )
        return Response(answer)

    @extend_schema(responses=DeploymentSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def deployments(self, request: Request, pk: str = "") -> Response:
        """What is deployed where, retired deployments included."""
        page = self.paginate_queryset(deployments_of(self.get_object()))
        context = {"ready": deploying.ready_counts(page)}
        rows = DeploymentSerializer(page, many=True, context=context).data
        return self.get_paginated_response(rows)

    @extend_schema(
        parameters=[OpenApiParameter("environment", str), OpenApiParameter("kind", str)],
        responses=DeploymentEventSerializer(many=True),
        filters=False,
    )
    @action(detail=True, methods=["get"], url_path="deployment-events")
    def deployment_events(self, request: Request, pk: str = "") -> Response:
        """The history of the deployments, the newest first."""
        rows = DeploymentEvent.objects.filter(deployment__agent=self.get_object())
        if name := request.query_params.get("environment"):
            rows = rows.filter(deployment__environment__name=name)
        if kind := request.query_params.get("kind"):
            rows = rows.filter(kind=kind)
        rows = rows.select_related("deployment__environment", "version")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(DeploymentEventSerializer(page, many=True).data)

    def _environment(self, request: Request, agent: Agent, name: str) -> Environment:
        environment = deploying.environment_of(agent, name)
        require_deploy(request.user, agent, environment)
        return environment

    def roll_back_deployment(self, request: Request, agent: Agent, body: Any) -> Response:
        """POST /agents/{id}/rollback with an environment: the deployment there goes back."""
        require(request.user, "agents.deploy_agent", agent)
        environment = self._environment(request, agent, body["environment"])
        found = deploying.roll_back(
            agent, environment, version=body.get("version"), actor=request.user
        )
        return said(found, 200)

"""The routes of reports, and those of agents and workflows that need to know what became of
runs."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents import metrics
from agents.api import AgentViewSet
from agents.models import Agent
from agents.wellbeing import Outcome
from analytics import queries, serializers, sheets
from analytics.scope import REPORTS, read_scope
from controlplane.kit.formats import FormatView
from controlplane.kit.ids import parse_uuid
from controlplane.kit.json import OrjsonRenderer
from controlplane.kit.permissions import require
from workflows.models import Workflow

RANGE = [
    OpenApiParameter("from", datetime, description="An ISO-8601 time or day; 30 days ago."),
    OpenApiParameter("to", datetime, description="An ISO-8601 time or day; now."),
    OpenApiParameter("bucket", str, enum=["hour", "day"], description="Of UTC; day."),
    OpenApiParameter("environment", str, many=True, description="Names of environments."),
    OpenApiParameter("format", str, enum=["json", "csv", "xlsx"]),
    OpenApiParameter("table", str, description="Which table a CSV holds; the first."),
]
PARAMETERS = [
    OpenApiParameter("project", UUID, many=True, description="Of all of the caller's."),
    *RANGE,
]
FILES = {(200, "text/csv"): str, (200, sheets.XLSX_TYPE): bytes}


def answers(serializer: Any) -> dict[Any, Any]:
    """The formats of a report, for the OpenAPI document."""
    return {(200, "application/json"): serializer, **FILES}


class ReportView(FormatView):
    """A report of what the caller may see, as JSON, CSV or a workbook."""

    permission = REPORTS
    http_method_names: ClassVar[list[str]] = ["get", "head", "options"]
    renderer_classes = [
        OrjsonRenderer,
        BrowsableAPIRenderer,
        sheets.CsvRenderer,
        sheets.XlsxRenderer,
    ]
    name_of_file: ClassVar[str] = ""
    serializer: ClassVar[Any]

    def answer(self, request: Request, report: dict[str, Any]) -> Response:
        """The report; a file has a name."""
        kind = request.accepted_renderer.format
        headers = {}
        if kind == "csv":
            # Asked here, because what a renderer raises is no refusal any more.
            sheets.chosen(
                sheets.tables(report, self.serializer()), request.query_params.get("table")
            )
        if kind in ("csv", "xlsx"):
            days = "-".join(f"{report[side]:%Y%m%d}" for side in ("from", "to"))
            name = f"{self.name_of_file}-{days}.{kind}"
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(report, headers=headers)


class OverviewView(ReportView):
    """The figures of a period against the one before it."""

    name_of_file = "overview"
    serializer = serializers.OverviewSerializer

    @extend_schema(
        operation_id="analytics_overview",
        parameters=PARAMETERS,
        responses=answers(serializers.OverviewSerializer),
    )
    def get(self, request: Request) -> Response:
        """Runs, success, length, cost, active agents, pending approvals, each with its change."""
        scope = read_scope(request.user, request.query_params)
        return self.answer(request, queries.overview(scope))


class RunsReportView(ReportView):
    """Runs over time."""

    name_of_file = "runs"
    serializer = serializers.RunsReportSerializer

    @extend_schema(
        operation_id="analytics_runs",
        parameters=PARAMETERS,
        responses=answers(serializers.RunsReportSerializer),
    )
    def get(self, request: Request) -> Response:
        """Runs over time with the percentiles of their length; by status, workflow, environment."""
        return self.answer(request, queries.runs(read_scope(request.user, request.query_params)))


class CostsReportView(ReportView):
    """What calls cost."""

    name_of_file = "costs"
    serializer = serializers.CostsReportSerializer

    @extend_schema(
        operation_id="analytics_costs",
        parameters=PARAMETERS,
        responses=answers(serializers.CostsReportSerializer),
    )
    def get(self, request: Request) -> Response:
        """Costs over time, by project, agent, workflow, model and tool; what has no price is
        counted apart. With a forecast of the calendar month."""
        return self.answer(request, queries.costs(read_scope(request.user, request.query_params)))


class AgentsReportView(ReportView):
    """How agents do."""

    name_of_file = "agents"
    serializer = serializers.AgentsReportSerializer

    @extend_schema(
        operation_id="analytics_agents",
        parameters=PARAMETERS,
        responses=answers(serializers.AgentsReportSerializer),
    )
    def get(self, request: Request) -> Response:
        """What each agent did, used and cost, and what its instances use now."""
        return self.answer(request, queries.agents(read_scope(request.user, request.query_params)))


class WorkflowsReportView(ReportView):
    """How workflows do."""

    name_of_file = "workflows"
    serializer = serializers.WorkflowsReportSerializer

    @extend_schema(
        operation_id="analytics_workflows",
        parameters=PARAMETERS,
        responses=answers(serializers.WorkflowsReportSerializer),
    )
    def get(self, request: Request) -> Response:
        """How the runs of each workflow went, how long they took, what they cost."""
        scope = read_scope(request.user, request.query_params)
        return self.answer(request, queries.workflows(scope))


class WorkflowReportView(ReportView):
    """How one workflow does."""

    name_of_file = "workflow"
    serializer = serializers.WorkflowReportSerializer

    @extend_schema(
        operation_id="workflows_analytics",
        parameters=[OpenApiParameter("id", UUID, OpenApiParameter.PATH), *RANGE],
        responses=answers(serializers.WorkflowReportSerializer),
    )
    def get(self, request: Request, pk: str) -> Response:
        """Its runs over time, cost, its steps with the slowest and the most failing one."""
        key = parse_uuid(pk)
        found = Workflow.objects.visible_to(request.user).filter(pk=key).first() if key else None
        if found is None:
            raise Http404
        require(request.user, REPORTS, found)
        scope = read_scope(request.user, request.query_params)
        scope = scope.of_project(found.project_id)
        return self.answer(request, queries.workflow(found.pk, scope))


class MeasuredAgentViewSet(AgentViewSet):
    """Agents, with what became of the runs they worked in."""

    def work(self, agent: Agent, span: metrics.Range) -> dict[metrics.Key, metrics.Work]:
        """What became of its work, by bucket."""
        return queries.agent_work(agent, span)

    def outcome(self, agent: Agent) -> Outcome | None:
        """How its steps went lately."""
        return queries.agent_outcome(agent)

"""The routes of the REST API, composed from the apps' viewsets."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, re_path
from rest_framework.routers import SimpleRouter

from agents.api import InstanceViewSet
from agents.connections_api import ProviderConnectionViewSet
from agents.prices_api import PriceViewSet
from analytics import api as analytics
from analytics.export_api import ExportViewSet
from controlplane.api_views import DocsView, SchemaView
from controlplane.kit.bulk_api import BulkJobViewSet, BulkView
from governance.approval_api import ApprovalViewSet
from governance.audit_api import AuditEntryViewSet
from projects import auth_api
from projects.api import EnvironmentViewSet
from projects.members_api import AcceptView, InvitationViewSet, MemberViewSet
from projects.saved_views import SavedViewViewSet
from projects.secrets_api import ApiKeyViewSet, SecretViewSet
from runs import pull_api
from runs.api import RunViewSet
from runs.freeze_api import FreezableProjectViewSet
from runs.joined_api import RunsOfAgent, RunsOfWorkflow
from runs.queues_api import QueueViewSet
from runs.reconcile_api import ReconciliationViewSet
from runs.retention_api import RetentionView
from tools.api import ToolViewSet
from tools.server_api import ToolServerViewSet
from workflows.api import WorkflowViewSet

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("tools", ToolViewSet, "tool")
router.register("tool-servers", ToolServerViewSet, "tool-server")
router.register("workflows", WorkflowViewSet, "workflow")
router.register("runs", RunViewSet, "run")
router.register("reconciliations", ReconciliationViewSet, "reconciliation")
router.register("agents", analytics.MeasuredAgentViewSet, "agent")
router.register("instances", InstanceViewSet, "instance")
router.register("model-prices", PriceViewSet, "model-price")
router.register("provider-connections", ProviderConnectionViewSet, "provider-connection")
IN_PROJECT = r"projects/(?P<project_pk>[^/.]+)"

router.register("projects", FreezableProjectViewSet, basename="project")
router.register(f"{IN_PROJECT}/environments", EnvironmentViewSet, basename="environment")
router.register(f"{IN_PROJECT}/members", MemberViewSet, basename="member")
router.register(f"{IN_PROJECT}/invitations", InvitationViewSet, basename="invitation")
router.register("saved-views", SavedViewViewSet, basename="saved-view")
router.register("secrets", SecretViewSet, basename="secret")
router.register("api-keys", ApiKeyViewSet, basename="api-key")
router.register("approvals", ApprovalViewSet, basename="approval")
router.register("audit", AuditEntryViewSet, basename="audit")
router.register("bulk-jobs", BulkJobViewSet, basename="bulk-job")
router.register("exports", ExportViewSet, basename="export")

REPORTS = {
    "overview": analytics.OverviewView,
    "runs": analytics.RunsReportView,
    "costs": analytics.CostsReportView,
    "agents": analytics.AgentsReportView,
    "workflows": analytics.WorkflowsReportView,
}
ONE = "(?P<pk>[^/.]+)"
QUEUE = "(?P<name>[^/]+)"
LIST = {"get": "list"}

urlpatterns: list[URLPattern | URLResolver] = [
    re_path("^schema/?$", SchemaView.as_view(), name="schema"),
    re_path("^docs/?$", DocsView.as_view(), name="docs"),
    *(
        re_path(rf"^analytics/{name}/?$", view.as_view(), name=f"analytics-{name}")
        for name, view in REPORTS.items()
    ),
    re_path(f"^projects/{ONE}/retention/?$", RetentionView.as_view(), name="project-retention"),
    re_path("^queues/?$", QueueViewSet.as_view(LIST), name="queue-list"),
    re_path(
        f"^queues/{QUEUE}/parked/replay/?$",
        QueueViewSet.as_view({"post": "replay"}),
        name="queue-replay",
    ),
    re_path(
        f"^queues/{QUEUE}/parked/?$", QueueViewSet.as_view({"get": "parked"}), name="queue-parked"
    ),
    re_path(f"^queues/{QUEUE}/?$", QueueViewSet.as_view({"get": "retrieve"}), name="queue-detail"),
    re_path(f"^agents/{ONE}/runs/?$", RunsOfAgent.as_view(LIST), name="agent-runs"),
    re_path(f"^workflows/{ONE}/runs/?$", RunsOfWorkflow.as_view(LIST), name="workflow-runs"),
    re_path(
        f"^workflows/{ONE}/analytics/?$",
        analytics.WorkflowReportView.as_view(),
        name="workflow-analytics",
    ),
    *(
        re_path(rf"^{table}/bulk/?$", BulkView.as_view(table=table), name=f"{table}-bulk")
        for table in settings.BULK
    ),
    *(
        re_path(rf"^auth/{name}/?$", view.as_view(), name=f"auth-{name}")
        for name, view in auth_api.ROUTES.items()
    ),
    *(re_path(rf"^{path}/?$", view) for path, view in pull_api.routes().items()),
    re_path("^invitations/accept/?$", AcceptView.as_view(), name="invitation-accept"),
    *router.urls,
]

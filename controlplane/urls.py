"""The table of contents of the site."""

from django.contrib import admin
from django.urls import include, path, re_path

from analytics.agent_page import MeasuredAgentPage
from controlplane import health, views
from controlplane.api_views import RootView

handler400 = "controlplane.faults.bad_request"
handler403 = "controlplane.faults.forbidden"
handler404 = "controlplane.faults.not_found"
handler500 = "controlplane.faults.server_error"

urlpatterns = [
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    re_path("^api/v1/?$", RootView.as_view(), name="api-root"),
    path("api/v1/", include("controlplane.api_urls")),
    path("accounts/", include("projects.account_urls")),
    path("admin/", admin.site.urls),
    path("", views.dashboard, name="dashboard"),
    path("components/", views.components, name="components"),
    path("projects/", include("projects.urls")),
    path("views/", include("projects.saved_urls")),
    path("trash/", include("controlplane.trash_urls")),
    path("bulk/", include("controlplane.kit.bulk_urls")),
    path("freeze/", include("runs.freeze_urls")),
    path("settings/data/", include("runs.retention_urls")),
    path("settings/", include("projects.settings_urls")),
    path("audit/", include("governance.audit_urls")),
    path("approvals/", include("governance.approval_urls")),
    path("queues/", include("runs.queues_urls")),
    path("reconciliations/", include("runs.reconcile_urls")),
    path("tools/", include("tools.urls")),
    # Before the app's own: only here it is known what became of runs.
    path("agents/<uuid:pk>/", MeasuredAgentPage.as_view()),
    path("agents/", include("agents.urls")),
    path("workflows/", include("workflows.urls")),
    path("runs/", include("runs.urls")),
    path("exports/", include("analytics.export_urls")),
]

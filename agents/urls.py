"""The pages of agents."""

from django.urls import include, path

from agents import deploy_views, page, views
from agents.import_views import AgentImport

app_name = "agents"
urlpatterns = [
    path("", views.AgentList.as_view(), name="list"),
    path("new/", views.AgentCreate.as_view(), name="create"),
    path("import/", AgentImport.as_view(), name="import"),
    path("connections/", include("agents.connections_urls")),
    path("prices/", include("agents.prices_urls")),
    path("<uuid:pk>/", page.AgentPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.AgentEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.AgentDelete.as_view(), name="delete"),
    path("<uuid:pk>/deploy/", deploy_views.AgentDeploy.as_view(), name="deploy"),
    path("<uuid:pk>/promote/", deploy_views.AgentPromote.as_view(), name="promote"),
    path("<uuid:pk>/roll-back/", deploy_views.AgentRollBack.as_view(), name="roll-back"),
    path("<uuid:pk>/retire/", deploy_views.AgentRetire.as_view(), name="retire"),
    path("<uuid:pk>/scale/", deploy_views.AgentScale.as_view(), name="scale"),
    path("<uuid:pk>/play/", deploy_views.AgentPlay.as_view(), name="play"),
    path("<uuid:pk>/check/", deploy_views.AgentCheck.as_view(), name="check"),
    path("<uuid:pk>/restore/", views.AgentRestore.as_view(), name="restore-version"),
    path("instances/<uuid:pk>/log/", deploy_views.InstanceLog.as_view(), name="log"),
]

"""The pages of tools."""

from django.urls import include, path

from tools import version_views, views
from tools.import_views import ToolImport

app_name = "tools"
urlpatterns = [
    path("", views.ToolList.as_view(), name="list"),
    path("new/", views.ToolCreate.as_view(), name="create"),
    path("import/", ToolImport.as_view(), name="import"),
    path("servers/", include("tools.server_urls")),
    path("<uuid:pk>/", views.ToolPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.ToolEdit.as_view(), name="edit"),
    path("<uuid:pk>/delete/", views.ToolDelete.as_view(), name="delete"),
    path("<uuid:pk>/test/", views.ToolTest.as_view(), name="test"),
    path("<uuid:pk>/approve-definition/", version_views.ToolApprove.as_view(), name="approve"),
    path("<uuid:pk>/rollback/", version_views.ToolRestore.as_view(), name="rollback"),
]

"""The pages of workflows."""

from django.urls import path

from workflows import views
from workflows.import_views import WorkflowImport

app_name = "workflows"
urlpatterns = [
    path("", views.WorkflowList.as_view(), name="list"),
    path("new/", views.WorkflowCreate.as_view(), name="create"),
    path("import/", WorkflowImport.as_view(), name="import"),
    path("<uuid:pk>/", views.WorkflowPage.as_view(), name="detail"),
    path("<uuid:pk>/edit/", views.WorkflowEdit.as_view(), name="edit"),
    path("<uuid:pk>/publish/", views.WorkflowPublish.as_view(), name="publish"),
    path("<uuid:pk>/delete/", views.WorkflowDelete.as_view(), name="delete"),
]

"""Workflows for platform staff: to be looked at and searched; changes go through the API."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from tools.admin import LookAtOnly
from workflows.models import Workflow, WorkflowVersion


@admin.register(Workflow)
class WorkflowAdmin(LookAtOnly):
    list_display = ("name", "slug", "project", "status", "updated_at", "deleted_at")
    list_filter = ("status",)
    list_select_related = ("project",)
    search_fields = ("name", "slug")


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(LookAtOnly):
    list_display = ("workflow", "number", "state", "created_by_name", "created_at", "released_at")
    list_filter = ("state",)
    list_select_related = ("workflow",)
    search_fields = ("workflow__name", "workflow__slug", "sha256")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Without the definitions, which may be large."""
        return super().get_queryset(request).defer("definition", "layout")

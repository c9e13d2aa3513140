"""The admin of the floor's own tables: looked at, never changed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from controlplane.kit.models import BulkJob


@admin.register(BulkJob)
class BulkJobAdmin(admin.ModelAdmin):
    list_display = ("table", "action", "status", "total", "done", "refused", "created_at")
    list_filter = ("table", "action", "status")
    search_fields = ("=id", "=user_id", "=project_id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Begun from lists only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A record of what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Old ones are forgotten by themselves."""
        return False

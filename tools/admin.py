"""Tools for platform staff: to be looked at and searched; changes go through the API."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from controlplane.kit.admin_pages import BoundedPaginator
from tools.models import Tool, ToolCall, ToolServer, ToolSlots, ToolVersion


class LookAtOnly(admin.ModelAdmin):
    """Nothing is added or changed here: versions and audit rows would be missing."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Tool)
class ToolAdmin(LookAtOnly):
    list_display = ("name", "slug", "project", "kind", "status", "updated_at", "deleted_at")
    list_filter = ("kind", "status", "effect_class", "stakes")
    list_select_related = ("project",)
    search_fields = ("name", "slug")


@admin.register(ToolVersion)
class ToolVersionAdmin(LookAtOnly):
    list_display = ("tool", "number", "approval", "created_by_name", "created_at")
    list_filter = ("approval",)
    list_select_related = ("tool",)
    search_fields = ("tool__name", "tool__slug", "definition_sha256")


@admin.register(ToolCall)
class ToolCallAdmin(LookAtOnly):
    list_display = ("started_at", "tool", "state", "error_code", "latency_ms", "run_id")
    list_select_related = ("tool",)
    search_fields = ("=run_id", "=step_id")


@admin.register(ToolServer)
class ToolServerAdmin(LookAtOnly):
    list_display = ("name", "project", "url", "status", "last_discovered_at", "deleted_at")
    list_filter = ("status",)
    list_select_related = ("project",)
    search_fields = ("name", "url")


@admin.register(ToolSlots)
class ToolSlotsAdmin(LookAtOnly):
    list_display = ("tool",)
    list_select_related = ("tool",)
    search_fields = ("tool__name", "tool__slug")

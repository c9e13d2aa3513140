"""Runs in the admin: to look at, never to change; the engine is their only writer."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from controlplane.kit.admin_pages import BoundedPaginator
from controlplane.kit.pagination import EXACT_TO
from runs.models import Effect, Retention, Run, Step


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows to look at, on tables of millions: no counting, no joins but the named ones."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = EXACT_TO

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Runs are started, not added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention deletes, people do not."""
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs of every project."""

    list_display = ("id", "project", "workflow", "status", "trigger", "created_at", "ended_at")
    list_filter = ("status", "trigger")
    search_fields = ("=id", "workflow__slug", "started_by_name")
    list_select_related = ("project", "workflow")
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Rows without payloads."""
        return super().get_queryset(request).defer("input", "output", "pins")


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    """Steps of every run."""

    list_display = ("id", "run_id", "node", "kind", "status", "attempt", "worker_id", "ended_at")
    list_filter = ("status", "kind")
    search_fields = ("=id", "=run__id", "=node")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        """Rows without payloads."""
        return super().get_queryset(request).defer("input", "output", "edges", "state")


@admin.register(Effect)
class EffectAdmin(ReadOnlyAdmin):
    """Declared outside effects."""

    list_display = ("id", "tool_name", "effect_class", "state", "run_id", "created_at", "done_at")
    list_filter = ("state", "effect_class")
    search_fields = ("=id", "=run__id", "tool_name", "=key")
    ordering = ("-id",)


@admin.register(Retention)
class RetentionAdmin(ReadOnlyAdmin):
    """What was removed of each project by its rules."""

    list_display = ("project", "runs_deleted", "lines_deleted", "payloads_cleared", "swept_at")
    list_select_related = ("project",)
    search_fields = ("project__name", "project__slug")
    ordering = ("-swept_at",)

"""The audit log for platform staff: to be looked at and searched."""

from django.contrib import admin

from governance.models import AuditEntry
from tools.admin import LookAtOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(LookAtOnly):
    list_display = ("at", "actor_name", "action", "target_type", "target_name", "project")
    list_filter = ("actor_type",)
    list_select_related = ("project",)
    search_fields = ("=target_id", "=request_id", "=actor_id", "actor_name", "action")

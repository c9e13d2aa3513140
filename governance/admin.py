"""The audit log and approvals for platform staff: to be looked at and searched."""

from django.contrib import admin

from governance.models import Approval, ApprovalDecision, AuditEntry
from tools.admin import LookAtOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(LookAtOnly):
    list_display = ("at", "actor_name", "action", "target_type", "target_name", "project")
    list_filter = ("actor_type",)
    list_select_related = ("project",)
    search_fields = ("=target_id", "=request_id", "=actor_id", "actor_name", "action")


@admin.register(Approval)
class ApprovalAdmin(LookAtOnly):
    list_display = ("title", "project", "subject", "status", "quorum", "due_at", "decided_at")
    list_filter = ("status", "subject")
    list_select_related = ("project",)
    search_fields = ("=id", "=run_id", "=step_id", "title")


@admin.register(ApprovalDecision)
class ApprovalDecisionAdmin(LookAtOnly):
    list_display = ("created_at", "actor", "action", "approval", "comment")
    list_filter = ("action",)
    list_select_related = ("actor", "approval")
    search_fields = ("=approval__id", "actor__email", "comment")

"""Exports for platform staff: to be looked at; their makers throw them away."""

from django.contrib import admin

from analytics.models import Export
from tools.admin import LookAtOnly


@admin.register(Export)
class ExportAdmin(LookAtOnly):
    list_display = ("title", "project", "requested_by", "format", "status", "rows", "created_at")
    list_filter = ("status", "format")
    list_select_related = ("project", "requested_by")
    search_fields = ("=id", "title", "requested_by__email")

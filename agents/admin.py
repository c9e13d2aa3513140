"""Agents for platform staff: to be looked at and searched; only prices are set here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from agents import pricing
from agents.history import DeploymentEvent, InstanceSample
from agents.models import Agent, AgentVersion, Deployment, Instance, ModelCall, ModelPrice
from agents.provider_connection import ProviderConnection
from controlplane.kit.admin_pages import ImportedAdmin
from tools.admin import LookAtOnly


@admin.register(Agent)
class AgentAdmin(LookAtOnly):
    list_display = ("name", "slug", "project", "kind", "status", "updated_at", "deleted_at")
    list_filter = ("kind", "status")
    list_select_related = ("project",)
    search_fields = ("name", "slug")


@admin.register(AgentVersion)
class AgentVersionAdmin(LookAtOnly):
    list_display = ("agent", "number", "sha256", "created_by_name", "created_at")
    list_select_related = ("agent",)
    search_fields = ("agent__name", "agent__slug", "sha256")


@admin.register(ProviderConnection)
class ProviderConnectionAdmin(LookAtOnly):
    list_display = ("name", "project", "provider", "base_url", "status", "enabled", "checked_at")
    list_filter = ("provider", "status", "enabled")
    list_select_related = ("project",)
    search_fields = ("name", "base_url")


@admin.register(Deployment)
class DeploymentAdmin(LookAtOnly):
    list_display = ("agent", "environment", "driver", "phase", "desired", "updated_at")
    list_filter = ("phase", "driver")
    list_select_related = ("agent", "environment")
    search_fields = ("agent__name", "agent__slug")


@admin.register(DeploymentEvent)
class DeploymentEventAdmin(LookAtOnly):
    list_display = ("at", "deployment", "kind", "reason", "actor_name")
    list_filter = ("kind",)
    list_select_related = ("deployment__agent", "deployment__environment")
    search_fields = ("reason", "=deployment__id")


@admin.register(InstanceSample)
class InstanceSampleAdmin(LookAtOnly):
    list_display = ("at", "instance_id", "rss_bytes", "cpu_percent", "in_flight")
    search_fields = ("=instance__id",)


@admin.register(Instance)
class InstanceAdmin(LookAtOnly):
    list_display = ("host", "pid", "queue", "state", "in_flight", "last_heartbeat_at")
    list_filter = ("state",)
    search_fields = ("host", "queue", "=id")


@admin.register(ModelCall)
class ModelCallAdmin(LookAtOnly):
    list_display = (
        "started_at",
        "agent",
        "provider",
        "model",
        "state",
        "error_code",
        "cost",
        "price_status",
    )
    list_select_related = ("agent",)
    search_fields = ("=run_id", "=step_id", "model")


@admin.register(ModelPrice)
class ModelPriceAdmin(ImportedAdmin):
    list_display = (
        "provider",
        "model",
        "project",
        "input_per_million",
        "output_per_million",
        "currency",
        "effective_from",
        "source",
    )
    list_filter = ("provider", "source")
    list_select_related = ("project",)
    search_fields = ("provider", "model")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, and count by the new price here at once."""
        super().save_model(request, obj, form, change)
        pricing.forget()

    def imported(self, request: HttpRequest, result: Any) -> None:
        """Count by the new prices here at once."""
        super().imported(request, result)
        pricing.forget()

"""A model server that many agents name: its address, its key, and what the last check found."""

from typing import Any

from django.db import models

from controlplane.kit.models import Row
from projects.models import Project
from projects.people import name_rule


class ProviderConnection(Row):
    """A model server of a project: its provider's wire format, its address, and the secret whose
    value is its key. What the last check found stands beside it."""

    class Provider(models.TextChoices):
        OPENAI = "openai", "OpenAI and compatible"
        ANTHROPIC = "anthropic", "Anthropic"

    class Status(models.TextChoices):
        NEW = "new", "Not checked"
        CONNECTED = "connected", "Connected"
        REACHABLE = "reachable", "Reachable"
        REFUSED = "refused", "Key refused"
        UNREACHABLE = "unreachable", "Unreachable"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(
        Project, models.CASCADE, related_name="provider_connections"
    )  # fmt: skip
    name = models.CharField(max_length=120, validators=[name_rule])
    provider = models.CharField(max_length=9, choices=Provider)
    base_url = models.CharField(max_length=2000, null=True, blank=True)
    secret = models.CharField(max_length=63, null=True, blank=True)
    default_model = models.CharField(max_length=120, blank=True, default="")
    enabled = models.BooleanField(default=True)
    status = models.CharField(max_length=11, choices=Status, default=Status.NEW, editable=False)
    detail = models.CharField(max_length=500, blank=True, default="", editable=False)
    # The names of the models it listed, at most 200.
    models_found = models.JSONField(default=list, editable=False)
    latency_ms = models.FloatField(null=True, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "provider_connection"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="provider_connection_name_once",
                violation_error_message="This project has a connection of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Its page."""
        return f"/agents/connections/{self.pk}/"

    def server(self) -> dict[str, Any]:
        """What a configuration says of the server it calls."""
        return {"provider": self.provider, "base_url": self.base_url, "secret": self.secret}

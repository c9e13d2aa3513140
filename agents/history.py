"""What became of deployments and of their processes over time; rows are only ever added."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7
from controlplane.kit.models import ScopedQuerySet


class DeploymentEvent(models.Model):
    """One thing that was done to a deployment, or that happened to it: why, by whom, and the
    figures the decision was made on."""

    class Kind(models.TextChoices):
        DEPLOYED = "deployed"
        PROMOTED = "promoted"
        ROLLED_BACK = "rolled_back", "Rolled back"
        RETIRED = "retired"
        ASKED = "asked", "Asked for approval"
        REFUSED = "refused", "Not approved"
        SCALED = "scaled"
        AUTOSCALED = "autoscaled"
        HELD = "held", "Not scaled"
        PHASE = "phase", "Phase"
        INSTANCE_STARTED = "instance_started", "Instance started"
        INSTANCE_DRAINING = "instance_draining", "Instance drains"
        INSTANCE_STOPPED = "instance_stopped", "Instance stopped"
        INSTANCE_LOST = "instance_lost", "Instance lost"

    # Those that make another version the wanted one.
    POINTED: ClassVar[tuple[str, ...]] = (Kind.DEPLOYED, Kind.PROMOTED, Kind.ROLLED_BACK)
    project_path: ClassVar[str] = "deployment__project"
    soft_deletes: ClassVar[bool] = False

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    deployment = models.ForeignKey("agents.Deployment", models.CASCADE, related_name="history")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=20, choices=Kind)
    reason = models.CharField(max_length=500, blank=True, default="")
    version = models.ForeignKey("agents.AgentVersion", models.PROTECT, null=True, related_name="+")
    signal = models.JSONField(default=dict)
    actor_name = models.CharField(max_length=120, blank=True, default="")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "deployment_event"
        ordering = ["-id"]
        indexes = [models.Index(fields=["deployment", "-id"], name="deployment_history")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reason}"


def note(
    deployment: Any,
    kind: str,
    reason: str = "",
    version: Any = None,
    signal: Mapping[str, Any] | None = None,
    actor: Any = None,
) -> DeploymentEvent:
    """One line of a deployment's history, in the running transaction; about the wanted version
    where none is given."""
    return DeploymentEvent.objects.create(
        deployment=deployment,
        kind=kind,
        reason=reason[:500],
        version=version or deployment.target_version,
        signal=dict(signal or {}),
        actor_name=str(actor)[:120] if actor else "",
    )


class InstanceSample(models.Model):
    """What one instance used at a moment, for charts."""

    id = models.BigAutoField(primary_key=True)
    instance = models.ForeignKey(
        "agents.Instance", models.CASCADE, related_name="samples", db_index=False
    )
    at = models.DateTimeField(default=timezone.now)
    rss_bytes = models.BigIntegerField(default=0)
    cpu_percent = models.FloatField(default=0)
    in_flight = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "instance_sample"
        indexes = [
            models.Index(fields=["instance", "at"], name="instance_sample_at"),
            models.Index(fields=["at"], name="instance_sample_age"),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id} at {self.at}"

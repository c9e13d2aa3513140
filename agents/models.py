"""Who works: agents, their immutable versions, deployments, instances and model calls."""

from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.http import urlencode

from agents.health import SILENT_SECONDS
from agents.history import DeploymentEvent as DeploymentEvent
from agents.history import InstanceSample as InstanceSample
from agents.provider_connection import ProviderConnection as ProviderConnection
from controlplane.kit.ids import uuid7
from controlplane.kit.links import MOST_TOLD, Link
from controlplane.kit.models import Row, ScopedQuerySet, SoftDeletedRow
from projects.models import Environment, Project, slug_rule
from projects.people import name_rule
from tools.models import Tool


class Kind(models.TextChoices):
    """How an agent works."""

    MODEL = "model"
    REMOTE = "remote"
    WORKER = "worker"


class Agent(SoftDeletedRow):
    """An agent of a project; what it is, is described by `current` version."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"
        DISABLED = "disabled"
        RETIRED = "retired"

    project = models.ForeignKey(Project, models.CASCADE, related_name="agents")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=120, validators=[name_rule])
    kind = models.CharField(max_length=8, choices=Kind)
    description = models.TextField(blank=True, default="", max_length=4000)
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # {success_rate, p95_ms}: what its work should reach over 15 minutes; null is the default.
    objective = models.JSONField(null=True, blank=True)
    # As the ticker last judged it; what changed it is told by `agent.health`.
    health = models.CharField(max_length=9, default="idle", editable=False)
    health_at = models.DateTimeField(null=True, editable=False)
    # What the ticker's last probe found: {fault, said, failures}; see agents.probing.
    probe = models.JSONField(null=True, editable=False)
    probed_at = models.DateTimeField(null=True, editable=False)
    current = models.ForeignKey(
        "AgentVersion", models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    class Meta:
        db_table = "agent"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "slug"],
                name="agent_slug_once",
                violation_error_message="This project has an agent of that slug.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The agent's page."""
        return f"/agents/{self.pk}/"

    @property
    def version(self) -> int | None:
        """The number of the current version."""
        return self.current.number if self.current else None

    @property
    def config(self) -> dict[str, Any]:
        """What the current version says."""
        return self.current.config if self.current else {}


class AgentVersion(Row):
    """An immutable configuration of an agent."""

    project_path = "agent__project"

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    config = models.JSONField(default=dict)
    sha256 = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True, default="")
    created_by_name = models.CharField(max_length=120, blank=True, default="")

    class Meta:
        db_table = "agent_version"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "number"], name="agent_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.agent} v{self.number}"

    @property
    def project_id(self) -> UUID:
        """The project of the agent."""
        return self.agent.project_id


class AgentTool(Link):
    """The current version of an agent names a tool; kept by agents.services."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="tool_links")
    tool = models.ForeignKey(Tool, models.RESTRICT, related_name="agent_links")

    class Meta:
        db_table = "agent_tool"
        constraints = [models.UniqueConstraint(fields=["agent", "tool"], name="agent_tool_once")]

    def __str__(self) -> str:
        return f"{self.agent} calls {self.tool}"

    @classmethod
    def users(cls, links: models.QuerySet, *, hard: bool) -> list[str]:
        """The agents; from the trash a tool comes back as it was, so only a hard end is refused."""
        if not hard:
            return []
        rows = links.filter(agent__deleted_at=None).order_by("agent__name")
        names = rows.values_list("agent__name", flat=True)[:MOST_TOLD]
        return [f"the agent {name}" for name in names]

    @classmethod
    def of_trash(cls, links: models.QuerySet) -> models.QuerySet:
        """Those of deleted agents."""
        return links.filter(agent__deleted_at__isnull=False)


class Deployment(Row):
    """An environment pointing at a version of an agent, with enough live instances of it."""

    class Phase(models.TextChoices):
        PENDING = "pending"
        PROGRESSING = "progressing"
        AVAILABLE = "available"
        DEGRADED = "degraded"
        PAUSED = "paused"
        FAILED = "failed"
        RETIRED = "retired"

    project = models.ForeignKey(Project, models.CASCADE, related_name="deployments")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="deployments")
    environment = models.ForeignKey(Environment, models.PROTECT, related_name="deployments")
    driver = models.CharField(max_length=10, default="process")
    target_version = models.ForeignKey(AgentVersion, models.PROTECT, related_name="+")
    live_version = models.ForeignKey(AgentVersion, models.PROTECT, null=True, related_name="+")
    replicas_min = models.PositiveSmallIntegerField(default=1)
    replicas_max = models.PositiveSmallIntegerField(default=1)
    desired = models.PositiveSmallIntegerField(default=1)
    concurrency = models.PositiveSmallIntegerField(default=4)
    # {queue_target, max_age_seconds, cooldown_seconds}, or null where replicas are set by hand.
    autoscale = models.JSONField(null=True, blank=True)
    phase = models.CharField(max_length=11, choices=Phase, default=Phase.PENDING)
    # One sentence on why it stands where it stands; written with the phase and with the scale.
    explanation = models.CharField(max_length=500, blank=True, default="")
    # What people are asked about it: {verb, version, replicas, driver, reason, title, approval, by,
    # by_id, at}; see agents.asking. Paused is what was never in service and waits for that.
    waiting = models.JSONField(null=True, blank=True)
    generation = models.PositiveIntegerField(default=1)
    observed_generation = models.PositiveIntegerField(default=0)

    IDLE = (Phase.RETIRED, Phase.PAUSED)

    class Meta:
        db_table = "deployment"
        ordering = ["environment__rank", "environment__name"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "environment"], name="deployment_once")
        ]

    def __str__(self) -> str:
        return f"{self.agent} in {self.environment}"

    @property
    def queue(self) -> str:
        """Where the steps wait that its instances work on."""
        return f"deployment.{self.pk}"

    @property
    def is_live(self) -> bool:
        """Whether steps of new runs go to it."""
        return self.phase not in self.IDLE


class InstanceQuerySet(ScopedQuerySet):
    """Reads of instances."""

    def visible_to(self, user: Any) -> Self:
        """Those of the deployments of the user's projects, and the shared ones, which work for
        every project."""
        projects = list(user.project_roles())
        if not projects:
            return self.none()
        own = models.Q(deployment__project_id__in=projects)
        return self.filter(own | models.Q(deployment=None))

    def live(self) -> Self:
        """Those that are not known to be gone."""
        return self.filter(state__in=Instance.LIVE)


class Instance(models.Model):
    """A live worker process: of a deployment, or of the shared pool. A worker and an instance are
    the same row, with one heartbeat and one threshold."""

    project_path = "deployment__project"
    soft_deletes = False

    class State(models.TextChoices):
        STARTING = "starting"
        READY = "ready"
        BUSY = "busy"
        DRAINING = "draining"
        DEAD = "dead"
        STOPPED = "stopped"

    LIVE = (State.STARTING, State.READY, State.BUSY, State.DRAINING)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    deployment = models.ForeignKey(
        Deployment, models.SET_NULL, null=True, blank=True, related_name="instances"
    )
    version = models.ForeignKey(AgentVersion, models.SET_NULL, null=True, related_name="+")
    queue = models.CharField(max_length=60, default="shared")
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State, default=State.STARTING)
    started_at = models.DateTimeField(default=timezone.now)
    last_heartbeat_at = models.DateTimeField(default=timezone.now)
    stopped_at = models.DateTimeField(null=True, blank=True)
    in_flight = models.PositiveIntegerField(default=0)
    capacity = models.PositiveIntegerField(default=0)
    rss_bytes = models.BigIntegerField(default=0)
    cpu_percent = models.FloatField(default=0)
    # What it says of itself, for workers that came by HTTP: language, release, labels.
    about = models.JSONField(default=dict, blank=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        db_table = "instance"
        ordering = ["-started_at"]
        indexes = [
            models.Index(
                fields=["last_heartbeat_at"],
                name="instance_live",
                condition=models.Q(state__in=("starting", "ready", "busy", "draining")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    @property
    def is_alive(self) -> bool:
        """Whether it is live and its last heartbeat is fresh."""
        silent = timezone.now() - self.last_heartbeat_at
        return self.state in self.LIVE and silent.total_seconds() < SILENT_SECONDS


class ModelCall(models.Model):
    """One call of a model. `input_tokens` include cached ones, `output_tokens` reasoning."""

    class PriceStatus(models.TextChoices):
        PRICED = "priced"
        FREE = "free"
        UNPRICED = "unpriced"

    project_path = "project"
    soft_deletes = False

    id = models.UUIDField(primary_key=True, editable=False)
    project = models.ForeignKey(
        Project, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    agent = models.ForeignKey(
        Agent, models.CASCADE, related_name="model_calls", db_constraint=False, db_index=False
    )
    agent_version = models.ForeignKey(
        AgentVersion, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    run_id = models.UUIDField(null=True)
    step_id = models.UUIDField(null=True)
    workflow_id = models.UUIDField(null=True)
    environment_id = models.UUIDField(null=True)
    turn = models.PositiveIntegerField(default=1)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    response_model = models.CharField(max_length=120, blank=True, default="")
    state = models.CharField(max_length=12)
    error_code = models.CharField(max_length=60, blank=True, default="")
    finish_reason = models.CharField(max_length=40, blank=True, default="")
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    latency_ms = models.FloatField(null=True)
    first_token_ms = models.FloatField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    currency = models.CharField(max_length=3, default="USD")
    price_status = models.CharField(max_length=8, choices=PriceStatus, default=PriceStatus.UNPRICED)
    started_at = models.DateTimeField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "model_call"
        indexes = [
            models.Index(fields=["agent", "started_at"], name="model_call_usage"),
            models.Index(fields=["step_id"], name="model_call_step"),
            models.Index(fields=["project", "started_at"], name="model_call_project"),
        ]

    def __str__(self) -> str:
        return f"{self.model} turn {self.turn}"


class ModelPrice(Row):
    """A price of one model in a currency per million tokens; an operator's beats an imported one
    beats the bundled table."""

    class Source(models.TextChoices):
        OPERATOR = "operator"
        IMPORT = "import"

    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="model_prices"
    )
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    effective_from = models.DateTimeField(default=timezone.now)
    # Null: until the next one of the same model begins.
    effective_until = models.DateTimeField(null=True, blank=True)
    input_per_million = models.DecimalField(max_digits=20, decimal_places=12)
    output_per_million = models.DecimalField(max_digits=20, decimal_places=12)
    cache_read_per_million = models.DecimalField(
        max_digits=20, decimal_places=12, null=True, blank=True
    )
    cache_write_per_million = models.DecimalField(
        max_digits=20, decimal_places=12, null=True, blank=True
    )
    reasoning_per_million = models.DecimalField(
        max_digits=20, decimal_places=12, null=True, blank=True
    )
    currency = models.CharField(max_length=3, default="USD")
    source = models.CharField(max_length=8, choices=Source, default=Source.OPERATOR)

    class Meta:
        db_table = "model_price"
        ordering = ["provider", "model", "-effective_from"]

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"

    def get_absolute_url(self) -> str:
        """The list, narrowed to its model."""
        return f"/agents/prices/?{urlencode({'provider': self.provider, 'model': self.model})}"

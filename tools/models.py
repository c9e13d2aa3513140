"""What an agent may call: tools, their immutable versions, and the calls that were made."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from controlplane.kit.models import Row, SoftDeletedRow
from projects.models import Project, slug_rule
from projects.people import name_rule


class Kind(models.TextChoices):
    """Where a tool's work is done."""

    HTTP = "http", "HTTP"
    MCP = "mcp", "MCP"
    PYTHON = "python", "Python"
    AGENT = "agent", "Agent"


class EffectClass(models.TextChoices):
    """What repeating a call does outside."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    CHECKABLE = "checkable"
    UNSAFE = "unsafe"


class Stakes(models.TextChoices):
    """What a call can do at worst."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"


class ToolServer(SoftDeletedRow):
    """An MCP server of a project, reached over streamable HTTP, with what it said it offers."""

    class Status(models.TextChoices):
        NEW = "new"
        CONNECTED = "connected"
        FAILED = "failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="tool_servers")
    name = models.CharField(max_length=120, validators=[name_rule])
    description = models.TextField(blank=True, default="", max_length=4000)
    url = models.CharField(max_length=2000)
    # {type, secret, …} as of HTTP tools, or null.
    auth = models.JSONField(null=True, blank=True)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    timeout_seconds = models.FloatField(
        default=30, validators=[MinValueValidator(0.1), MaxValueValidator(600)]
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.NEW, editable=False)
    # {name, version, protocol, instructions} as the server gave them.
    info = models.JSONField(default=dict, editable=False)
    # The definitions of its tools, in its order; see tools.mcp.definitions.
    discovered = models.JSONField(default=list, editable=False)
    last_discovered_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=500, blank=True, default="", editable=False)

    class Meta:
        db_table = "tool_server"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="tool_server_name_once",
                violation_error_message="This project has a tool server of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The server's page."""
        return f"/tools/servers/{self.pk}/"


class Tool(SoftDeletedRow):
    """A callable thing of a project; its work is described by `current` version."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        TESTING = "testing"
        INACTIVE = "inactive"
        DEPRECATED = "deprecated"

    project = models.ForeignKey(Project, models.CASCADE, related_name="tools")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=120, validators=[name_rule])
    kind = models.CharField(max_length=8, choices=Kind)
    description = models.TextField(blank=True, default="", max_length=4000)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    effect_class = models.CharField(max_length=10, choices=EffectClass, default=EffectClass.UNSAFE)
    # {tool, arguments, done, not_done, output}: how a checkable call in doubt is asked about.
    effect_check = models.JSONField(null=True, blank=True)
    # {tool, arguments}: what undoes a call.
    effect_undo = models.JSONField(null=True, blank=True)
    stakes = models.CharField(max_length=11, choices=Stakes, default=Stakes.WRITE)
    rate_limit = models.JSONField(null=True, blank=True)
    timeout_seconds = models.FloatField(
        default=30, validators=[MinValueValidator(0.1), MaxValueValidator(3600)]
    )
    # Of kind mcp: where its work is done. Deleting the server for good is refused meanwhile.
    server = models.ForeignKey(
        ToolServer, models.RESTRICT, null=True, blank=True, related_name="tools", editable=False
    )
    current = models.ForeignKey(
        "ToolVersion", models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    class Meta:
        db_table = "tool"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "slug"],
                name="tool_slug_once",
                violation_error_message="This project has a tool of that slug.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The tool's page."""
        return f"/tools/{self.pk}/"

    @property
    def version(self) -> int | None:
        """The number of the current version."""
        return self.current.number if self.current else None

    @property
    def approval(self) -> str | None:
        """Whether the current version may be called: approved or quarantined."""
        return self.current.approval if self.current else None

    @property
    def config(self) -> dict[str, Any]:
        """How the current version is called."""
        return self.current.config if self.current else {}

    @property
    def input_schema(self) -> dict[str, Any]:
        """What arguments must fit."""
        return self.current.input_schema if self.current else {}

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """What the output must fit, if anything."""
        return self.current.output_schema if self.current else None


class ToolVersion(Row):
    """An immutable definition of a tool."""

    project_path = "tool__project"

    class Approval(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        QUARANTINED = "quarantined"

    tool = models.ForeignKey(Tool, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    config = models.JSONField(default=dict)
    input_schema = models.JSONField(default=dict)
    output_schema = models.JSONField(null=True, blank=True)
    # What the server said of the tool when this version was made; null for the other kinds.
    definition = models.JSONField(null=True, blank=True)
    definition_sha256 = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True, default="")
    approval = models.CharField(max_length=11, choices=Approval, default=Approval.APPROVED)
    created_by_name = models.CharField(max_length=120, blank=True, default="")

    class Meta:
        db_table = "tool_version"
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["tool", "number"], name="tool_version_once")]

    def __str__(self) -> str:
        return f"{self.tool} v{self.number}"

    def told(self) -> dict[str, Any]:
        """What a comparison of two versions is made of."""
        if self.definition is not None:
            return {"config": self.config, **self.definition}
        return {
            "config": self.config,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
        }


class ToolSlots(models.Model):
    """The last places in time that a tool with a rate limit gave away; see tools.limits."""

    project_path = "tool__project"
    soft_deletes = False

    tool = models.OneToOneField(Tool, models.CASCADE, primary_key=True, related_name="+")
    # [[seconds since 1970, how many], …], the oldest first.
    taken = models.JSONField(default=list)

    class Meta:
        db_table = "tool_slots"

    def __str__(self) -> str:
        return f"slots of {self.tool_id}"


class ToolCall(models.Model):
    """One call of a tool, as it happened. Runs, steps and agents are ids, not keys: they lie to
    the right of this app."""

    project_path = "project"
    soft_deletes = False

    id = models.UUIDField(primary_key=True, editable=False)
    project = models.ForeignKey(
        Project, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    tool = models.ForeignKey(
        Tool, models.CASCADE, related_name="calls", db_constraint=False, db_index=False
    )
    tool_version = models.ForeignKey(
        ToolVersion, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    run_id = models.UUIDField(null=True)
    step_id = models.UUIDField(null=True)
    agent_id = models.UUIDField(null=True)
    workflow_id = models.UUIDField(null=True)
    state = models.CharField(max_length=12)
    error_code = models.CharField(max_length=60, blank=True, default="")
    latency_ms = models.FloatField(null=True)
    args_sha256 = models.CharField(max_length=64, blank=True, default="")
    idempotency_key = models.CharField(max_length=80, blank=True, default="")
    cost = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    started_at = models.DateTimeField()

    class Meta:
        db_table = "tool_call"
        indexes = [
            models.Index(fields=["tool", "started_at"], name="tool_call_usage"),
            models.Index(fields=["step_id"], name="tool_call_step"),
            models.Index(
                fields=["project", "started_at"],
                name="tool_call_costs",
                condition=models.Q(cost__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool_id} {self.state}"

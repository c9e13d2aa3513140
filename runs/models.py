"""What happened: runs, their steps, attempts, effects, checkpoints and log lines."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7
from controlplane.kit.models import ScopedQuerySet
from projects.models import Environment, Project
from runs.states import RUN_TERMINAL, Relation, RunStatus, ScopeStatus, StepStatus, Trigger
from workflows.models import Workflow, WorkflowVersion

# Named one by one and in this order, as indexes and the questions that they answer both must.
ENDED = [str(status) for status in RunStatus if status in RUN_TERMINAL]
ALIVE = [str(status) for status in RunStatus if status not in RUN_TERMINAL]
# By these, rows of an ordered index are left out without reading the wide rows.
FILTERED = ["workflow", "environment", "status", "trigger", "created_at"]
PAYLOADS = ("input", "output", "pins")
# What no table shows.
UNSHOWN = ("end_status", "root_id", "idempotency_key", "request_sha256", "simulated")


class RunQuerySet(ScopedQuerySet):
    """Reads of runs."""

    def for_list(self) -> "RunQuerySet":
        """Without payloads, with the names a row shows."""
        return self.select_related("workflow", "workflow_version", "environment").defer(*PAYLOADS)

    def for_rows(self) -> "RunQuerySet":
        """For tables: of related rows only what a row shows, for a definition may be long."""
        own = [field.name for field in self.model._meta.concrete_fields]
        return self.select_related("workflow", "workflow_version", "environment").only(
            *(name for name in own if name not in (*PAYLOADS, *UNSHOWN)),
            "workflow__name",
            "workflow_version__number",
            "environment__name",
        )

    def alive_states(self) -> "RunQuerySet":
        """Runs that have not ended."""
        return self.exclude(status__in=RUN_TERMINAL)


class Run(models.Model):
    """One execution of a workflow version, with everything it will use pinned at its start.

    The hot columns are written by runs.dispatch; `status` only by it and by runs.lifecycle.
    """

    project_path = "project"
    soft_deletes = False
    indexed_orders = ("created_at",)
    # Runs that have ended are read in these orders by an index that is written once, at their end;
    # the others are few.
    split_orders = {
        field: (models.Q(status__in=ENDED), models.Q(status__in=ALIVE))
        for field in ("cost", "started_at", "ended_at")
    }

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No constraints in the database: each would lock its row at every start (docs/decisions/0010).
    project = models.ForeignKey(
        Project, models.CASCADE, related_name="runs", db_constraint=False, db_index=False
    )
    workflow = models.ForeignKey(
        Workflow, models.CASCADE, related_name="runs", db_constraint=False, db_index=False
    )
    workflow_version = models.ForeignKey(
        WorkflowVersion, models.PROTECT, related_name="+", db_constraint=False
    )
    environment = models.ForeignKey(
        Environment, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    trigger = models.CharField(max_length=8, choices=Trigger, default=Trigger.MANUAL)
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    # Where a cancelling run will end.
    end_status = models.CharField(max_length=10, blank=True, default="")
    reason = models.CharField(max_length=40, blank=True, default="")
    input = models.JSONField(default=dict)
    output = models.JSONField(null=True)
    error = models.JSONField(null=True)
    # Slug → version id of every agent, tool and sub-workflow, fixed at the start.
    pins = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    priority = models.SmallIntegerField(
        default=0, validators=[MinValueValidator(-100), MaxValueValidator(100)]
    )
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
    )
    relation = models.CharField(max_length=5, choices=Relation, null=True, blank=True)
    root_id = models.UUIDField()
    started_by_type = models.CharField(max_length=12)
    started_by_id = models.UUIDField(null=True)
    started_by_name = models.CharField(max_length=120)
    simulated = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=255, null=True)
    # By what the run is counted against its workflow's limits; null where it has none.
    concurrency_key = models.CharField(max_length=200, null=True, editable=False)
    request_sha256 = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    # Steps that have not ended, and those of them that are ready or running.
    open_steps = models.IntegerField(default=0)
    busy_steps = models.IntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    unpriced_calls = models.IntegerField(default=0)
    currency = models.CharField(max_length=3, default="USD")
    last_seq = models.BigIntegerField(default=0)
    last_log_seq = models.BigIntegerField(default=0)

    objects = RunQuerySet.as_manager()

    class Meta:
        db_table = "run"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "idempotency_key"],
                name="run_idempotency_key",
                condition=models.Q(idempotency_key__isnull=False),
            )
        ]
        indexes = [
            # Lists in order, and all that reports ask of runs without reading the wide rows.
            models.Index(
                fields=["project", "-created_at", "-id"],
                include=[
                    "workflow",
                    "environment",
                    "status",
                    "trigger",
                    "priority",
                    "started_at",
                    "ended_at",
                    "cost",
                    "started_by_id",
                ],
                name="run_list",
            ),
            # What lists are narrowed by besides is counted without reading the wide rows, too.
            models.Index(
                fields=["project", "status", "-created_at", "-id"],
                include=["workflow", "environment", "trigger"],
                name="run_by_status",
            ),
            models.Index(
                fields=["workflow", "-created_at", "-id"],
                include=["project", "environment", "status", "trigger"],
                name="run_by_workflow",
            ),
            GinIndex(fields=["tags"], name="run_by_tag", condition=~models.Q(tags=[])),
            models.Index(
                fields=["workflow", "-priority", "created_at"],
                name="run_limited",
                condition=models.Q(
                    concurrency_key__isnull=False,
                    status__in=("queued", "running", "waiting", "paused", "cancelling"),
                ),
            ),
            models.Index(
                fields=["parent"],
                name="run_by_parent",
                condition=models.Q(parent__isnull=False),
            ),
            models.Index(
                fields=["project", "cost", "id"],
                include=FILTERED,
                name="run_by_cost",
                condition=models.Q(status__in=ENDED, cost__isnull=False),
            ),
            models.Index(
                fields=["project", "started_at", "id"],
                include=FILTERED,
                name="run_by_start",
                condition=models.Q(status__in=ENDED),
            ),
            models.Index(
                fields=["project", "ended_at", "id"],
                include=FILTERED,
                name="run_by_end",
                condition=models.Q(status__in=ENDED),
            ),
            models.Index(
                fields=["status"],
                name="run_alive",
                condition=models.Q(
                    status__in=("queued", "running", "waiting", "paused", "cancelling")
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} …{str(self.pk)[-8:]}"

    def get_absolute_url(self) -> str:
        """The run's page."""
        return f"/runs/{self.pk}/"

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in RUN_TERMINAL

    @property
    def duration_ms(self) -> int | None:
        """From the first step to the end, or to now; null before it started."""
        if self.started_at is None:
            return None
        return round(((self.ended_at or timezone.now()) - self.started_at).total_seconds() * 1000)

    @property
    def started_by(self) -> dict[str, Any]:
        """Who started it: {type, id, name}."""
        return {
            "type": self.started_by_type,
            "id": str(self.started_by_id) if self.started_by_id else None,
            "name": self.started_by_name,
        }


class Step(models.Model):
    """One node of a run's graph (or of one item of a map, one pass of a loop).

    `deps_left` counts undecided incoming edges, `deps_taken` the taken ones. A ready row is the
    entry of the queue. `lease` fences: only the holder of the token may complete the step.
    `undecided` marks a step that ended while the run's row was locked by another.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="steps", db_index=False)
    node = models.CharField(max_length=80)
    path = models.CharField(max_length=255, blank=True, default="")
    position = models.IntegerField(default=0)
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=StepStatus, default=StepStatus.PENDING)
    reason = models.CharField(max_length=40, blank=True, default="")
    attempt = models.SmallIntegerField(default=0)
    crash_count = models.SmallIntegerField(default=0)
    deps_left = models.IntegerField(default=0)
    deps_taken = models.IntegerField(default=0)
    queue = models.CharField(max_length=60, default="shared")
    pool = models.CharField(max_length=6, default="cpu")
    priority = models.SmallIntegerField(default=0)
    ready_at = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True)
    worker_id = models.UUIDField(null=True)
    leased_at = models.DateTimeField(null=True)
    undecided = models.BooleanField(default=False)
    edges = models.JSONField(null=True)
    parent_step = models.ForeignKey(
        "self", models.CASCADE, null=True, related_name="body_steps", db_index=False
    )
    state = models.JSONField(null=True)
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    error = models.JSONField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    unpriced_calls = models.IntegerField(default=0)
    agent_id = models.UUIDField(null=True)
    tool_id = models.UUIDField(null=True)
    approval_id = models.UUIDField(null=True)

    class Meta:
        db_table = "step"
        ordering = ["position", "path", "id"]
        constraints = [models.UniqueConstraint(fields=["run", "path", "node"], name="step_once")]
        indexes = [
            models.Index(
                fields=["queue", "pool", "-priority", "ready_at"],
                name="step_ready",
                condition=models.Q(status="ready"),
            ),
            models.Index(
                fields=["wake_at"],
                name="step_wake",
                condition=models.Q(status="waiting", wake_at__isnull=False),
            ),
            models.Index(
                fields=["worker_id"], name="step_leased", condition=models.Q(status="running")
            ),
            models.Index(fields=["run"], name="step_waiting", condition=models.Q(status="waiting")),
            models.Index(fields=["run"], name="step_parked", condition=models.Q(status="parked")),
            models.Index(
                fields=["parent_step"],
                name="step_by_parent",
                condition=models.Q(parent_step__isnull=False),
            ),
            models.Index(fields=["run"], name="step_undecided", condition=models.Q(undecided=True)),
            models.Index(
                fields=["agent_id", "-started_at"],
                name="step_by_agent",
                condition=models.Q(agent_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node} of {self.run_id}"

    @property
    def duration_ms(self) -> int | None:
        """From start to end, or to now; null before it started."""
        if self.started_at is None:
            return None
        return round(((self.ended_at or timezone.now()) - self.started_at).total_seconds() * 1000)


class Scope(models.Model):
    """One item of a map or one pass of a loop: what its body sees, and what came of it.

    `words` are the `item`, `index` and `previous` of its expressions; `open_steps` counts the steps
    of its body that have not ended. Written by runs.lifecycle, under the guard of the run.
    """

    pk = models.CompositePrimaryKey("step_id", "index")
    # The map or loop.
    step = models.ForeignKey(
        Step, models.CASCADE, related_name="scopes", db_constraint=False, db_index=False
    )
    index = models.IntegerField()
    run_id = models.UUIDField()
    path = models.CharField(max_length=255)
    status = models.CharField(max_length=10, choices=ScopeStatus, default=ScopeStatus.PENDING)
    open_steps = models.IntegerField(default=0)
    words = models.JSONField()
    output = models.JSONField(null=True)
    error = models.JSONField(null=True)

    class Meta:
        db_table = "scope"
        constraints = [models.UniqueConstraint(fields=["run_id", "path"], name="scope_once")]

    def __str__(self) -> str:
        return f"{self.path} of {self.run_id}"


class Attempt(models.Model):
    """An attempt that did not end its step; the last attempt is the step's own row."""

    pk = models.CompositePrimaryKey("step_id", "n")
    step = models.ForeignKey(Step, models.CASCADE, related_name="attempts", db_index=False)
    n = models.SmallIntegerField()
    status = models.CharField(max_length=10)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    error = models.JSONField(null=True)
    worker_id = models.UUIDField(null=True)

    class Meta:
        db_table = "attempt"

    def __str__(self) -> str:
        return f"attempt {self.n} of {self.step_id}"


class EffectQuerySet(ScopedQuerySet):
    """Reads of effects."""

    def for_people(self) -> "EffectQuerySet":
        """Those that a person is asked about, or has said something of."""
        asked = models.Q(state=Effect.State.UNKNOWN, undoes=None)
        return self.filter(asked | ~models.Q(resolution=""))

    def unknown(self) -> "EffectQuerySet":
        """Those of which nobody knows whether they happened."""
        return self.filter(state=Effect.State.UNKNOWN, undoes=None)


class Effect(models.Model):
    """A declared outside effect: written as an intent before the call, done after it.

    Where nobody knows whether it happened a person says so (`resolution`): done with this result,
    to be made again (a new row follows, this one keeps its ordinal), or undone.
    """

    class State(models.TextChoices):
        INTENT = "intent"
        DONE = "done"
        UNKNOWN = "unknown"
        RESOLVED = "resolved"
        # Of a call that was to undo another.
        FAILED = "failed"

    class Resolution(models.TextChoices):
        DONE = "done", "It happened"
        REDO = "redo", "Made again"
        COMPENSATE = "compensate", "Undone"

    project_path = "run__project"
    permission_noun = "run"
    soft_deletes = False

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="effects")
    step = models.ForeignKey(Step, models.CASCADE, related_name="effects")
    ordinal = models.IntegerField()
    key = models.CharField(max_length=80)
    tool_id = models.UUIDField(null=True)
    tool_name = models.CharField(max_length=120)
    effect_class = models.CharField(max_length=10)
    args_sha256 = models.CharField(max_length=64)
    arguments = models.JSONField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.INTENT)
    result = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)
    resolution = models.CharField(
        max_length=10, choices=Resolution, blank=True, default="", db_default=""
    )
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.JSONField(null=True)
    comment = models.TextField(blank=True, default="", db_default="")
    # The key of the call that takes this one's place, where it is to be another.
    next_key = models.CharField(max_length=80, blank=True, default="", db_default="")
    # What the tool's check said last: {tool, verdict, why, at}.
    checked = models.JSONField(null=True)
    # Of a call that undoes another: which.
    undoes = models.UUIDField(null=True)
    # The run that undoes what happened.
    compensation_run_id = models.UUIDField(null=True)

    objects = EffectQuerySet.as_manager()

    class Meta:
        db_table = "effect"
        verbose_name = "call in doubt"
        verbose_name_plural = "calls in doubt"
        constraints = [
            models.UniqueConstraint(
                fields=["step", "ordinal"],
                name="effect_once",
                condition=~models.Q(resolution="redo"),
            )
        ]
        indexes = [
            models.Index(
                fields=["run"],
                name="effect_open",
                condition=models.Q(state__in=("intent", "unknown")),
            ),
            # What a person said of a call: a retry of the run takes it as said.
            models.Index(fields=["key"], name="effect_said", condition=models.Q(state="resolved")),
        ]

    def __str__(self) -> str:
        return f"{self.tool_name} …{str(self.pk)[-8:]}"

    def get_absolute_url(self) -> str:
        """The page on which it is resolved."""
        return f"/reconciliations/{self.pk}/"

    @property
    def project_id(self) -> Any:
        """The project of its run."""
        return self.run.project_id

    @property
    def is_open(self) -> bool:
        """Whether a person has still to say what became of it."""
        return self.state == self.State.UNKNOWN


class Checkpoint(models.Model):
    """One finished model call or tool call of an agent's loop; a crash goes on after the last."""

    pk = models.CompositePrimaryKey("step_id", "ordinal")
    step = models.ForeignKey(Step, models.CASCADE, related_name="checkpoints")
    ordinal = models.IntegerField()
    kind = models.CharField(max_length=8)
    content = models.JSONField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "checkpoint"

    def __str__(self) -> str:
        return f"{self.kind} {self.ordinal} of {self.step_id}"


class Signal(models.Model):
    """A message to a run, kept until a signal step takes it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="signals")
    name = models.CharField(max_length=100)
    body = models.JSONField(null=True)
    received_at = models.DateTimeField(default=timezone.now)
    taken_by = models.UUIDField(null=True)

    class Meta:
        db_table = "signal"
        indexes = [
            models.Index(
                fields=["run", "name"], name="signal_kept", condition=models.Q(taken_by=None)
            )
        ]

    def __str__(self) -> str:
        return self.name


class LogLine(models.Model):
    """One line of a run's log; its seq counts by itself."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, models.CASCADE, related_name="log_lines")
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    level = models.CharField(max_length=8)
    step_id = models.UUIDField(null=True)
    message = models.TextField()
    data = models.JSONField(null=True)

    class Meta:
        db_table = "log_line"

    def __str__(self) -> str:
        return self.message[:80]


class Retention(models.Model):
    """What was removed of a project by its rules, and up to which start of runs all of it is."""

    project_path = "project"
    soft_deletes = False

    project = models.OneToOneField(Project, models.CASCADE, primary_key=True, related_name="+")
    logs_to = models.DateTimeField(null=True)
    payloads_to = models.DateTimeField(null=True)
    runs_deleted = models.BigIntegerField(default=0)
    lines_deleted = models.BigIntegerField(default=0)
    payloads_cleared = models.BigIntegerField(default=0)
    swept_at = models.DateTimeField(null=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "retention"

    def __str__(self) -> str:
        return f"retention of {self.project_id}"

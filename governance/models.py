"""What is allowed: the audit log and approvals."""

from typing import Any, Self

from django.db import models
from django.urls import reverse
from django.utils import timezone

from controlplane.kit.models import Row, ScopedQuerySet
from projects.models import Project, User


class AuditEntry(models.Model):
    """Who did what to what, before and after. Append-only: a trigger refuses UPDATE and DELETE
    outside the sealing of the hash chain and retention."""

    project_path = "project"
    soft_deletes = False

    id = models.BigAutoField(primary_key=True)
    project = models.ForeignKey(
        Project, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now)
    actor_type = models.CharField(max_length=12)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=120)
    action = models.CharField(max_length=60)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40)
    target_name = models.CharField(max_length=200, blank=True, default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True, default="")

    objects = ScopedQuerySet.as_manager()

    class Meta:
        db_table = "audit_entry"
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "-id"], name="audit_project"),
            models.Index(fields=["target_id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"

    def get_absolute_url(self) -> str:
        """The entry's page."""
        return f"/audit/{self.pk}/"


class ApprovalQuerySet(ScopedQuerySet):
    """Reads of approvals."""

    def pending(self) -> Self:
        """Those that wait for somebody."""
        return self.filter(status=Approval.Status.PENDING)

    def ended(self) -> Self:
        """Those nobody waits for any more."""
        return self.exclude(status=Approval.Status.PENDING)

    def urgent_first(self) -> Self:
        """What nobody decided in time, then what is due first; without a due time by age."""
        # PostgreSQL puts nulls last.
        return self.order_by("escalated_at", "due_at", "created_at", "id")

    def with_people(self) -> Self:
        """With who asked and who decided, in a fixed number of queries."""
        decisions = ApprovalDecision.objects.select_related("actor")
        return self.select_related("requested_by").prefetch_related(
            models.Prefetch("decisions", decisions)
        )


class Approval(Row):
    """A question to people, bound to a hash of exactly what was shown. The run and step that wait
    for it are ids: they lie to the right of this app.

    `action_sha256` names what was asked and never changes; `shown_sha256` what is shown now, which
    differs once somebody approved edited arguments. `key` tells several questions of one step
    apart, `shape` is shared by requests of the same kind. `assignees` are e-mail addresses, ids of
    users, and names of roles; empty means everybody who may decide.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        EXPIRED = "expired"
        CANCELLED = "cancelled"
        SUPERSEDED = "superseded"

    class OnTimeout(models.TextChoices):
        REJECT = "reject"
        ESCALATE = "escalate"
        CONTINUE = "continue"

    project = models.ForeignKey(Project, models.CASCADE, related_name="approvals")
    run_id = models.UUIDField(null=True, db_index=True)
    step_id = models.UUIDField(null=True)
    key = models.CharField(max_length=200, blank=True, default="")
    subject = models.CharField(max_length=20)
    shape = models.CharField(max_length=200, blank=True, default="")
    title = models.CharField(max_length=500)
    packet = models.JSONField(default=dict)
    arguments = models.JSONField(null=True)
    arguments_schema = models.JSONField(null=True)
    edited_arguments = models.JSONField(null=True)
    action_sha256 = models.CharField(max_length=64)
    shown_sha256 = models.CharField(max_length=64, default="")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    quorum = models.PositiveSmallIntegerField(default=1)
    assignees = models.JSONField(default=list)
    requester_may_approve = models.BooleanField(default=True)
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    due_at = models.DateTimeField(null=True)
    on_timeout = models.CharField(max_length=10, choices=OnTimeout, default=OnTimeout.REJECT)
    escalation = models.JSONField(null=True)
    escalated_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        db_table = "approval"
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["project", "due_at"],
                name="approval_pending",
                condition=models.Q(status="pending"),
            ),
            models.Index(
                fields=["due_at"],
                name="approval_due",
                condition=models.Q(status="pending", due_at__isnull=False),
            ),
            models.Index(fields=["project", "-decided_at"], name="approval_decided"),
            models.Index(fields=["project", "shape", "-decided_at"], name="approval_shape"),
            models.Index(fields=["step_id"], name="approval_step"),
        ]
        constraints = [
            # A question is open once, whoever asks again at the same time.
            models.UniqueConstraint(
                fields=["project", "run_id", "step_id", "subject", "key"],
                name="approval_open_once",
                condition=models.Q(status="pending")
                & (models.Q(step_id__isnull=False) | ~models.Q(key="")),
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("approvals:detail", args=[self.pk])

    @property
    def is_pending(self) -> bool:
        """Whether it waits for somebody."""
        return self.status == self.Status.PENDING

    @property
    def shown_arguments(self) -> Any:
        """The arguments as they stand now: the edited ones, else those of the request."""
        return self.arguments if self.edited_arguments is None else self.edited_arguments

    @property
    def may_be_edited(self) -> bool:
        """Whether an approver may change the arguments: they must be an object."""
        return isinstance(self.arguments, dict)

    @property
    def seconds_to_decide(self) -> float | None:
        """From the request to the end; None while it waits."""
        if self.decided_at is None:
            return None
        return max(0.0, (self.decided_at - self.created_at).total_seconds())

    @property
    def run_url(self) -> str:
        """The run's page with the step chosen; empty without a run."""
        if self.run_id is None:
            return ""
        return f"/runs/{self.run_id}/" + (f"?step={self.step_id}" if self.step_id else "")


class ApprovalDecision(Row):
    """One person's word on an approval, and on exactly what was shown at that time."""

    project_path = "approval__project"

    class Action(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="decisions")
    actor = models.ForeignKey(User, models.PROTECT, related_name="+")
    action = models.CharField(max_length=8, choices=Action)
    comment = models.TextField(blank=True, default="", max_length=4000)
    arguments = models.JSONField(null=True)
    shown_sha256 = models.CharField(max_length=64, default="")

    class Meta:
        db_table = "approval_decision"
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["created_at"], name="approval_decision_at")]
        constraints = [
            # Who approved before the arguments were edited is asked once more.
            models.UniqueConstraint(
                fields=["approval", "actor", "shown_sha256"],
                name="approval_decided_once",
                violation_error_message="You have decided this already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action}"

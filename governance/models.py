"""What is allowed: the audit log and approvals."""

from django.db import models
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
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "-id"], name="audit_project"),
            models.Index(fields=["target_id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"


class Approval(Row):
    """A question to people, bound to a hash of exactly what was shown. The run and step that wait
    for it are ids: they lie to the right of this app."""

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        EXPIRED = "expired"
        CANCELLED = "cancelled"
        SUPERSEDED = "superseded"

    project = models.ForeignKey(Project, models.CASCADE, related_name="approvals")
    run_id = models.UUIDField(null=True, db_index=True)
    step_id = models.UUIDField(null=True)
    subject = models.CharField(max_length=20)
    title = models.CharField(max_length=500)
    packet = models.JSONField(default=dict)
    arguments = models.JSONField(null=True)
    action_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    quorum = models.PositiveSmallIntegerField(default=1)
    requester_may_approve = models.BooleanField(default=True)
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    due_at = models.DateTimeField(null=True)
    on_timeout = models.CharField(max_length=10, default="reject")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "approval"
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["project", "due_at"],
                name="approval_pending",
                condition=models.Q(status="pending"),
            )
        ]

    def __str__(self) -> str:
        return self.title


class ApprovalDecision(Row):
    """One person's word on an approval."""

    project_path = "approval__project"

    class Action(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="decisions")
    actor = models.ForeignKey(User, models.PROTECT, related_name="+")
    action = models.CharField(max_length=8, choices=Action)
    comment = models.TextField(blank=True, default="", max_length=4000)
    arguments = models.JSONField(null=True)

    class Meta:
        db_table = "approval_decision"
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["approval", "actor"],
                name="approval_decided_once",
                violation_error_message="You have decided this already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action}"

"""Base rows, the scoped queryset, and the one table of events."""

from typing import Any, ClassVar, Self

from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7


class ScopedQuerySet(models.QuerySet):
    """Rows of projects; every door starts from `visible_to`."""

    # The projects the rows are narrowed to, for reading a page of a large table (kit.lookup).
    projects: tuple[Any, ...] = ()

    def visible_to(self, user: Any) -> Self:
        """Rows of the projects `user` is a member of; soft-deleted ones left out."""
        path = self.model.project_path
        lookup = "pk__in" if path == "pk" else f"{path}_id__in"
        projects = tuple(user.project_roles())
        found = self.alive().filter(**{lookup: list(projects)})
        found.projects = projects
        return found

    def of_project(self, project_id: Any) -> Self:
        """Only those of one project."""
        path = self.model.project_path
        found = self.filter(**{"pk" if path == "pk" else f"{path}_id": project_id})
        found.projects = (project_id,)
        return found

    def _clone(self) -> Self:
        clone: Self = super()._clone()
        clone.projects = self.projects
        return clone

    def alive(self) -> Self:
        """Rows that are not in the trash."""
        return self.filter(deleted_at=None) if self.model.soft_deletes else self

    def in_trash(self, user: Any) -> Self:
        """Visible rows that were soft-deleted."""
        return self.filter(project_id__in=list(user.project_roles()), deleted_at__isnull=False)


class Row(models.Model):
    """A row with a time-ordered key. `project_path` leads to the project's id for scoping."""

    project_path: ClassVar[str] = "project"
    soft_deletes: ClassVar[bool] = False

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True


class SoftDeletedRow(Row):
    """A row that goes to the trash first."""

    soft_deletes = True
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True


class Event(models.Model):
    """One line of a subject's history and of its live stream.

    A run's `seq` is gapless from 1. `activity_seq` is set where the project's activity feed
    carries the event: the writing transaction's id shifted by 16 bits plus an ordinal, so that a
    reader who stays below the oldest open transaction never misses one (see docs/decisions).
    """

    pk = models.CompositePrimaryKey("subject_id", "seq")
    subject_id = models.UUIDField()
    seq = models.BigIntegerField()
    project_id = models.UUIDField()
    at = models.DateTimeField()
    type = models.CharField(max_length=32)
    step_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)
    activity_seq = models.BigIntegerField(null=True)

    class Meta:
        db_table = "event"
        indexes = [
            models.Index(
                fields=["project_id", "activity_seq"],
                name="event_activity",
                condition=models.Q(activity_seq__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.seq}"


class BulkJob(Row):
    """One verb on many rows of a list: what was chosen, how far it came, what was refused and why.

    `selection` holds ids, or the filter as it was (never the ids it found). `cursor` is the key of
    the last row that was dealt with; it moves in the transaction of that row, so that each row is
    done once. Who started it is kept by id: this table lies below the one of users.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        CANCELLED = "cancelled"
        FAILED = "failed"

    project_id = models.UUIDField(null=True)
    user_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    table = models.CharField(max_length=40)
    action = models.CharField(max_length=40)
    options = models.JSONField(default=dict)
    selection = models.JSONField()
    status = models.CharField(max_length=9, choices=Status, default=Status.QUEUED)
    total = models.IntegerField(null=True)
    done = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)
    reasons = models.JSONField(default=dict)
    refusals = models.JSONField(default=list)
    error = models.CharField(max_length=500, blank=True, default="")
    cursor = models.UUIDField(null=True)
    stop_requested = models.BooleanField(default=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=255, null=True)
    request_sha256 = models.CharField(max_length=64, blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        db_table = "bulk_job"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "idempotency_key"],
                name="bulk_job_idempotency_key",
                condition=models.Q(idempotency_key__isnull=False),
            )
        ]
        indexes = [
            models.Index(fields=["user_id", "-created_at"], name="bulk_job_of_user"),
            models.Index(
                fields=["updated_at"],
                name="bulk_job_open",
                condition=models.Q(status__in=("queued", "running")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.table}"

    def get_absolute_url(self) -> str:
        """How far it came, and its report."""
        return f"/bulk/jobs/{self.pk}/"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def looked_at(self) -> int:
        """How many rows were dealt with."""
        return self.done + self.refused

"""Base rows, the scoped queryset, and the one table of events."""

from typing import Any, ClassVar, Self

from django.db import models
from django.utils import timezone

from controlplane.kit.ids import uuid7


class ScopedQuerySet(models.QuerySet):
    """Rows of projects; every door starts from `visible_to`."""

    def visible_to(self, user: Any) -> Self:
        """Rows of the projects `user` is a member of; soft-deleted ones left out."""
        path = self.model.project_path
        lookup = "pk__in" if path == "pk" else f"{path}_id__in"
        return self.alive().filter(**{lookup: list(user.project_roles())})

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

"""Exports: files of lists made in the background, kept in the database until they expire."""

from typing import Any

from django.conf import settings
from django.db import models

from controlplane.kit.models import Row, ScopedQuerySet
from projects.models import Project


class ExportQuerySet(ScopedQuerySet):
    """Reads of exports."""

    def visible_to(self, user: Any) -> "ExportQuerySet":
        """One's own: a file holds what its maker was allowed to see."""
        return super().visible_to(user).filter(requested_by=user.pk)


class Export(Row):
    """A file of a list as it was filtered. Workers on any host make it and any web process hands it
    out, so it is kept in parts in the database and needs no shared disk."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "Excel"
        JSON = "json", "JSON"

    project = models.ForeignKey(Project, models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="exports"
    )
    # The API key it was asked for by, if any.
    key_id = models.UUIDField(null=True, editable=False)
    title = models.CharField(max_length=120)
    # The path of the list's page, and its filters.
    path = models.CharField(max_length=200)
    query = models.TextField(blank=True, default="")
    format = models.CharField(max_length=4, choices=Format)
    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    # Rows written, of how many; null until they are counted.
    rows = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    size_bytes = models.BigIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True, default="")
    attempt = models.SmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    objects = ExportQuerySet.as_manager()

    class Meta:
        db_table = "export"
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["project", "requested_by", "-created_at", "-id"], name="export_list"
            ),
            models.Index(
                fields=["updated_at"],
                name="export_open",
                condition=models.Q(status__in=("queued", "running")),
            ),
            models.Index(fields=["expires_at"], name="export_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.title} as {self.get_format_display()}"

    def get_absolute_url(self) -> str:
        """The page of exports, where it is listed."""
        return "/exports/"

    @property
    def is_open(self) -> bool:
        """Whether it is still to be made."""
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)

    @property
    def file_name(self) -> str:
        """What the file is called."""
        words = "-".join(self.path.strip("/").split("/")) or "list"
        return f"{words}-{self.created_at:%Y%m%d-%H%M%S}.{self.format}"


class ExportPart(models.Model):
    """A piece of a file, compressed by gzip; put together they are one gzip file."""

    pk = models.CompositePrimaryKey("export_id", "number")
    export = models.ForeignKey(Export, models.CASCADE, related_name="parts")
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "export_part"

    def __str__(self) -> str:
        return f"part {self.number} of {self.export_id}"

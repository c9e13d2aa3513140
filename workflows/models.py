"""What is to be done: workflows and their versions."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from agents.models import Agent
from controlplane.kit.links import MOST_TOLD, Link
from controlplane.kit.models import Row, SoftDeletedRow
from projects.models import Project, name_rule, slug_rule
from tools.models import Tool
from workflows.graph.layout import with_layout


class Workflow(SoftDeletedRow):
    """A named graph of steps; its work is described by its versions."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        INACTIVE = "inactive"
        DEPRECATED = "deprecated"

    project = models.ForeignKey(Project, models.CASCADE, related_name="workflows")
    slug = models.CharField(max_length=63, validators=[slug_rule])
    name = models.CharField(max_length=120, validators=[name_rule])
    description = models.TextField(blank=True, default="", max_length=4000)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # The newest version, draft or not, and the newest released one.
    head = models.ForeignKey(
        "WorkflowVersion", models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    released = models.ForeignKey(
        "WorkflowVersion", models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    # Runs at once: of the workflow, and of one value of a CEL key over the input.
    concurrency_limit = models.PositiveIntegerField(null=True, blank=True)
    concurrency_key = models.CharField(max_length=2000, blank=True, default="")
    concurrency_key_limit = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        db_table = "workflow"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "slug"],
                name="workflow_slug_once",
                violation_error_message="This project has a workflow of that slug.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The workflow's page."""
        return f"/workflows/{self.pk}/"


class WorkflowVersion(Row):
    """One definition; once released it never changes."""

    project_path = "workflow__project"

    class State(models.TextChoices):
        DRAFT = "draft"
        RELEASED = "released"
        DEPRECATED = "deprecated"

    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    # The steps' positions are kept apart: drawing a released version anew does not change it.
    definition = models.JSONField()
    layout = models.JSONField(default=dict, blank=True)
    # `tool:<slug>`, `agent:<slug>`, `workflow:<slug>` of every step, so that uses can be found.
    uses = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    sha256 = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True, default="")
    created_by_name = models.CharField(max_length=120, blank=True, default="")
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workflow_version"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_once")
        ]
        indexes = [GinIndex(fields=["uses"], name="workflow_version_uses")]

    def __str__(self) -> str:
        return f"{self.workflow} v{self.number}"

    @property
    def drawn(self) -> dict[str, Any]:
        """The definition with the positions of its steps."""
        return with_layout(self.definition, self.layout)


class WorkflowUse(Link):
    """The newest or the released version of a workflow calls a tool, an agent or a workflow; kept
    by workflows.uses. What does not exist (yet) has no row, nor has a workflow that calls itself.
    """

    workflow = models.ForeignKey(Workflow, models.CASCADE, related_name="use_links")
    tool = models.ForeignKey(Tool, models.RESTRICT, null=True, related_name="workflow_links")
    agent = models.ForeignKey(Agent, models.RESTRICT, null=True, related_name="workflow_links")
    called = models.ForeignKey(Workflow, models.RESTRICT, null=True, related_name="caller_links")
    # Named by the released version, not only by a draft.
    is_released = models.BooleanField(default=False)

    class Meta:
        db_table = "workflow_use"
        constraints = [
            models.CheckConstraint(
                name="workflow_use_one",
                condition=models.Q(tool__isnull=False, agent=None, called=None)
                | models.Q(tool=None, agent__isnull=False, called=None)
                | models.Q(tool=None, agent=None, called__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow} calls {self.tool or self.agent or self.called}"

    @classmethod
    def users(cls, links: models.QuerySet, *, hard: bool) -> list[str]:
        """The workflows. What only a draft names may go to the trash, except another workflow."""
        rows = links.filter(workflow__deleted_at=None)
        if not hard:
            rows = rows.filter(models.Q(is_released=True) | models.Q(called__isnull=False))
        names = rows.order_by("workflow__name").values_list("workflow__name", flat=True)
        return [f"the workflow {name}" for name in names[:MOST_TOLD]]

    @classmethod
    def of_trash(cls, links: models.QuerySet) -> models.QuerySet:
        """Those of deleted workflows."""
        return links.filter(workflow__deleted_at__isnull=False)

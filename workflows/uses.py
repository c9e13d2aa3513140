"""Which rows a workflow's newest and released versions call, kept as links."""

from typing import Any
from uuid import UUID

from django.db import models

from agents.models import Agent
from tools.models import Tool
from workflows.models import Workflow, WorkflowUse

# Kind of use in WorkflowVersion.uses → (model, the link's column).
CALLED: dict[str, tuple[type[models.Model], str]] = {
    "tool": (Tool, "tool_id"),
    "agent": (Agent, "agent_id"),
    "workflow": (Workflow, "called_id"),
}


def relink(workflow: Workflow) -> None:
    """Make the links say what the versions say. The rows that are called stay locked until the end
    of the transaction, so that none of them is deleted meanwhile."""
    wanted = _wanted(workflow)
    kept = set()
    for link in workflow.use_links.all():
        key = (column := _column(link), getattr(link, column))
        if key not in wanted:
            link.delete()
            continue
        kept.add(key)
        if link.is_released != wanted[key]:
            link.is_released = wanted[key]
            link.save(update_fields=["is_released"])
    WorkflowUse.objects.bulk_create(
        WorkflowUse(workflow=workflow, is_released=is_released, **{column: called})
        for (column, called), is_released in wanted.items()
        if (column, called) not in kept
    )


def _wanted(workflow: Workflow) -> dict[tuple[str, UUID], bool]:
    """(column, id) of what is called → whether the released version calls it."""
    named: dict[str, bool] = {}
    for version in (workflow.head, workflow.released):
        for use in version.uses if version is not None else ():
            named[use] = named.get(use, False) or version.pk == workflow.released_id
    wanted = {}
    for kind, (model, column) in CALLED.items():
        uses = {use.partition(":")[2]: use for use in named if use.startswith(f"{kind}:")}
        if not uses:
            continue
        rows: Any = model._default_manager.select_for_update(of=("self",), no_key=True)
        rows = rows.filter(project_id=workflow.project_id, slug__in=uses).exclude(pk=workflow.pk)
        for called, slug in rows.order_by("pk").values_list("pk", "slug"):
            wanted[column, called] = named[uses[slug]]
    return wanted


def _column(link: WorkflowUse) -> str:
    return next(column for _, column in CALLED.values() if getattr(link, column) is not None)

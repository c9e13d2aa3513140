"""Filters of runs, shared by the page and the API."""

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from runs.models import Run, Step
from runs.states import RunStatus, Trigger
from workflows.models import Workflow


def workflow_options(request: HttpRequest) -> list[tuple[object, str]]:
    """The workflows of the current project."""
    rows = Workflow.objects.visible_to(request.user).filter(project=request.place.project)
    return list(rows.order_by("name").values_list("pk", "name")[:200])


def environment_options(request: HttpRequest) -> list[tuple[str, str]]:
    """The environments of the current project."""
    return [(e.name, e.name) for e in request.place.environments]


class AgentFilter(ManyFilter):
    """Runs one of whose steps one of the agents works on."""

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """Without doubling a run whose agent works on several of its steps."""
        if not value:
            return qs
        return qs.filter(Exists(Step.objects.filter(run=OuterRef("pk"), agent_id__in=value)))


class RunFilter(ListFilterSet):
    """?status=&trigger=&workflow=&environment=&agent=&tag=&parent=&search=&period=
    &created_after=&created_before="""

    status = ManyFilter("status", options=RunStatus.choices, label="Status", looks=True)
    workflow = ManyFilter("workflow_id", options=workflow_options, label="Workflow", of="id")
    environment = ManyFilter(
        "environment__name", options=environment_options, label="Environment", of="text"
    )
    trigger = ManyFilter("trigger", options=Trigger.choices, label="Trigger")
    agent = AgentFilter("agent", options=(), label="Agent", of="id")
    tag = ManyFilter("tags", options=(), label="Tag", of="text", array=True)
    parent = django_filters.UUIDFilter(field_name="parent_id")

    class Meta:
        model = Run
        fields: list[str] = []

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By id, by the workflow's name or slug, or by who started it."""
        if run_id := parse_uuid(value):
            return queryset.filter(pk=run_id)
        return queryset.filter(
            Q(workflow__name__icontains=value)
            | Q(workflow__slug__icontains=value)
            | Q(started_by_name__icontains=value)
        )

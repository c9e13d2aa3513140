"""Filters of runs, shared by the page and the API."""

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from agents.models import Agent
from controlplane.kit.filter_options import tags
from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from controlplane.kit.pagination import bounded_count
from projects.models import Environment
from projects.people import User
from runs.models import Run, Step
from runs.states import RunStatus, Trigger
from workflows.models import Workflow

MOST_FOUND = 1_000
RARE = 500


def workflow_options(request: HttpRequest) -> list[tuple[object, str]]:
    """The workflows of the current project."""
    rows = Workflow.objects.visible_to(request.user).filter(project=request.place.project)
    return list(rows.order_by("name").values_list("pk", "name")[:200])


def agent_options(request: HttpRequest) -> list[tuple[object, str]]:
    """The agents of the current project."""
    rows = Agent.objects.visible_to(request.user).filter(project=request.place.project)
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


class EnvironmentFilter(ManyFilter):
    """Runs in environments of one of the names."""

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """By their ids, looked up first: then runs need not be joined to be counted."""
        if not value:
            return qs
        projects = list(self.parent.request.user.project_roles())
        found = Environment.objects.filter(project_id__in=projects, name__in=value)
        return qs.filter(environment_id__in=list(found.values_list("pk", flat=True)))


class TagFilter(ManyFilter):
    """Runs with all of the tags."""

    def filter(self, qs: QuerySet, value: list[str]) -> QuerySet:
        """A rare tag is looked up first: the planner takes every tag it does not know for a common
        one and would read the whole list. The exclusion is what the index says."""
        if not value:
            return qs
        tagged = Run.objects.filter(tags__contains=value).exclude(tags=[]).order_by()
        if bounded_count(tagged, RARE)[1]:
            return qs.filter(pk__in=list(tagged.values_list("pk", flat=True)))
        return qs.filter(tags__contains=value).exclude(tags=[])


class RunFilter(ListFilterSet):
    """?status=&trigger=&workflow=&environment=&agent=&tag=&parent=&search=&period=
    &created_after=&created_before="""

    status = ManyFilter("status", options=RunStatus.choices, label="Status", looks=True)
    workflow = ManyFilter("workflow_id", options=workflow_options, label="Workflow", of="id")
    environment = EnvironmentFilter(
        "environment__name", options=environment_options, label="Environment", of="text"
    )
    trigger = ManyFilter("trigger", options=Trigger.choices, label="Trigger")
    agent = AgentFilter("agent", options=agent_options, label="Agent", of="id")
    tag = TagFilter("tags", options=tags(Run, recent=500), label="Tag", of="text", array=True)
    parent = django_filters.UUIDFilter(field_name="parent_id")

    class Meta:
        model = Run
        fields: list[str] = []

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By id, by the workflow's name or slug, or by the name of who started it.

        Workflows and people are few and looked up first; runs are found by their ids.
        """
        if run_id := parse_uuid(value):
            return queryset.filter(pk=run_id)
        projects = list(self.request.user.project_roles())
        named = Q(name__icontains=value) | Q(slug__icontains=value)
        workflows = Workflow.objects.filter(named, project_id__in=projects)
        people = User.objects.filter(memberships__project_id__in=projects, name__icontains=value)
        return queryset.filter(
            Q(workflow_id__in=list(workflows.values_list("pk", flat=True)[:MOST_FOUND]))
            | Q(started_by_id__in=list(people.values_list("pk", flat=True).distinct()[:MOST_FOUND]))
        )

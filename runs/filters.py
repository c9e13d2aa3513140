"""Filters of runs, shared by the page and the API."""

import django_filters as filters
from django.db.models import Q, QuerySet

from agents.models import Agent
from controlplane.kit.ids import parse_uuid
from runs.models import Run
from runs.states import RunStatus, Trigger
from workflows.models import Workflow


class RunFilter(filters.FilterSet):
    """?status=&trigger=&workflow=&environment=&tag=&created_after=&created_before=&search="""

    status = filters.MultipleChoiceFilter(choices=RunStatus.choices)
    trigger = filters.MultipleChoiceFilter(choices=Trigger.choices)
    workflow = filters.ModelMultipleChoiceFilter(
        queryset=lambda request: Workflow.objects.visible_to(request.user)
    )
    environment = filters.CharFilter(method="filter_environment")
    agent = filters.ModelChoiceFilter(
        queryset=lambda request: Agent.objects.visible_to(request.user), method="filter_agent"
    )
    tag = filters.CharFilter(method="filter_tag")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    parent = filters.UUIDFilter(field_name="parent_id")
    search = filters.CharFilter(method="filter_search")

    class Meta:
        model = Run
        fields: list[str] = []

    def filter_environment(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By the environment's name; a repeated parameter means any of them."""
        return queryset.filter(environment__name__in=self.data.getlist("environment"))

    def filter_agent(self, queryset: QuerySet, name: str, value: Agent) -> QuerySet:
        """Runs one of whose steps the agent works on."""
        return queryset.filter(steps__agent_id=value.pk).distinct()

    def filter_tag(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Runs that carry every named tag."""
        return queryset.filter(tags__contains=self.data.getlist("tag"))

    def filter_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By id, by the workflow's name or slug, or by who started it."""
        if run_id := parse_uuid(value):
            return queryset.filter(pk=run_id)
        return queryset.filter(
            Q(workflow__name__icontains=value)
            | Q(workflow__slug__icontains=value)
            | Q(started_by_name__icontains=value)
        )

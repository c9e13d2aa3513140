"""Filters of calls in doubt, shared by the page and the API."""

from django.db.models import Q, QuerySet

from controlplane.kit.filters import ListFilterSet, ManyFilter
from controlplane.kit.ids import parse_uuid
from runs.filters import environment_options, workflow_options
from runs.models import Effect

STATES = ((Effect.State.UNKNOWN, "Open"), (Effect.State.RESOLVED, "Resolved"))


class ReconcileFilter(ListFilterSet):
    """?status=&resolution=&workflow=&environment=&tool=&run=&search=&period=&created_after=
    &created_before="""

    status = ManyFilter("state", options=STATES, label="Status")
    resolution = ManyFilter("resolution", options=Effect.Resolution.choices, label="Said")
    workflow = ManyFilter("run__workflow_id", options=workflow_options, label="Workflow", of="id")
    environment = ManyFilter(
        "run__environment__name", options=environment_options, label="Environment", of="text"
    )
    tool = ManyFilter("tool_id", options=(), label="Tool", of="id")
    run = ManyFilter("run_id", options=(), label="Run", of="id")

    class Meta:
        model = Effect
        fields: list[str] = []

    def by_search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """By the tool's name, or by the id of the call, its run or its step."""
        if (found := parse_uuid(value)) is not None:
            return queryset.filter(Q(pk=found) | Q(run_id=found) | Q(step_id=found))
        return queryset.filter(Q(tool_name__icontains=value) | Q(key=value))

"""Filters of workflows, shared by the page and the API."""

from controlplane.kit.filter_options import tags
from controlplane.kit.filters import ListFilterSet, ManyFilter
from workflows.models import Workflow


class WorkflowFilter(ListFilterSet):
    """?status=&tag=&search=&period=&created_after=&created_before="""

    search_fields = ("name", "slug", "description")

    status = ManyFilter("status", options=Workflow.Status.choices, label="Status", looks=True)
    tag = ManyFilter("tags", options=tags(Workflow), label="Tag", of="text", array=True)

    class Meta:
        model = Workflow
        fields: list[str] = []

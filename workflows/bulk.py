"""What can be done to many workflows at once."""

from controlplane.kit import bulk_acts
from controlplane.kit.bulk import Bulk
from workflows.api import WorkflowViewSet
from workflows.filters import WorkflowFilter
from workflows.models import Workflow


class WorkflowBulk(Bulk):
    """Deleting, setting the status, editing tags."""

    table = "workflows"
    model = Workflow
    filterset_class = WorkflowFilter
    acts = (
        bulk_acts.set_status(WorkflowViewSet, Workflow.Status.choices),
        bulk_acts.edit_tags(WorkflowViewSet),
        bulk_acts.delete(WorkflowViewSet),
    )

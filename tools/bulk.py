"""What can be done to many tools at once."""

from controlplane.kit import bulk_acts
from controlplane.kit.bulk import Bulk
from tools.api import ToolViewSet
from tools.filters import ToolFilter
from tools.models import Tool


class ToolBulk(Bulk):
    """Deleting, setting the status, editing tags."""

    table = "tools"
    model = Tool
    filterset_class = ToolFilter
    acts = (
        bulk_acts.set_status(ToolViewSet, Tool.Status.choices),
        bulk_acts.edit_tags(ToolViewSet),
        bulk_acts.delete(ToolViewSet),
    )

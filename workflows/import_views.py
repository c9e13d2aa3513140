"""The page that takes workflows from a file."""

from controlplane.kit.import_views import ImportDialog
from workflows.api import WorkflowViewSet
from workflows.models import Workflow


class WorkflowImport(ImportDialog):
    """Workflows from a file."""

    model = Workflow
    viewset_class = WorkflowViewSet
    list_url = "/workflows/"

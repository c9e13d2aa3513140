"""The page that takes tools from a file."""

from controlplane.kit.import_views import ImportDialog
from tools.api import ToolViewSet
from tools.models import Tool


class ToolImport(ImportDialog):
    """Tools from a file."""

    model = Tool
    viewset_class = ToolViewSet
    list_url = "/tools/"

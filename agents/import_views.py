"""The page that takes agents from a file."""

from agents.api import AgentViewSet
from agents.models import Agent
from controlplane.kit.import_views import ImportDialog


class AgentImport(ImportDialog):
    """Agents from a file."""

    model = Agent
    viewset_class = AgentViewSet
    list_url = "/agents/"

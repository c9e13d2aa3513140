"""What can be done to many agents at once."""

from agents.api import AgentViewSet
from agents.filters import AgentFilter
from agents.models import Agent
from controlplane.kit import bulk_acts
from controlplane.kit.bulk import Bulk


class AgentBulk(Bulk):
    """Deleting, setting the status, editing tags."""

    table = "agents"
    model = Agent
    filterset_class = AgentFilter
    acts = (
        bulk_acts.set_status(AgentViewSet, Agent.Status.choices),
        bulk_acts.edit_tags(AgentViewSet),
        bulk_acts.delete(AgentViewSet),
    )

"""Filters of agents and instances, shared by the pages and the API."""

from agents.models import Agent, Instance, Kind
from controlplane.kit.filter_options import tags
from controlplane.kit.filters import ListFilterSet, ManyFilter


class AgentFilter(ListFilterSet):
    """?status=&kind=&tag=&search=&period=&created_after=&created_before="""

    search_fields = ("name", "slug", "description")

    status = ManyFilter("status", options=Agent.Status.choices, label="Status", looks=True)
    kind = ManyFilter("kind", options=Kind.choices, label="Kind")
    tag = ManyFilter("tags", options=tags(Agent), label="Tag", of="text", array=True)

    class Meta:
        model = Agent
        fields: list[str] = []


class InstanceFilter(ListFilterSet):
    """?state=&queue=&agent=&deployment=&search=&period=&created_after=&created_before="""

    search_fields = ("host", "queue")
    period_field = "started_at"

    state = ManyFilter("state", options=Instance.State.choices, label="State", looks=True)
    queue = ManyFilter("queue", options=(), label="Queue", of="text")
    agent = ManyFilter("deployment__agent", options=(), label="Agent", of="id")
    deployment = ManyFilter("deployment", options=(), label="Deployment", of="id")

    class Meta:
        model = Instance
        fields: list[str] = []

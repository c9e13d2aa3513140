"""The page of an agent, with what became of the runs it worked in."""

from agents import metrics
from agents.models import Agent
from agents.page import AgentPage
from agents.wellbeing import Outcome
from analytics import queries


class MeasuredAgentPage(AgentPage):
    """As the API's routes of an agent, from the same figures."""

    def work(self, agent: Agent, span: metrics.Range) -> dict[metrics.Key, metrics.Work]:
        """What became of its work, by bucket."""
        return queries.agent_work(agent, span)

    def outcome(self, agent: Agent) -> Outcome | None:
        """How its steps went lately."""
        return queries.agent_outcome(agent)

"""The four facts of an agent's health, read from the database."""

from datetime import datetime
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone

from agents import config as configs
from agents.health import OUTCOME_WINDOW, Facts, InstanceFact, Objective, judge
from agents.models import Agent, Deployment, Instance, ModelCall
from agents.probing import Probed, last_probe
from agents.services import check_references
from controlplane.kit.errors import InvalidInput
from tools.usage import Percentile

Outcome = tuple[int, int, float | None]


def health(agent: Agent, *, outcome: Outcome | None = None) -> dict[str, Any]:
    """{status, facts, checked_at}. `outcome` is (ended, succeeded, p95_ms) of the agent's work in
    OUTCOME_WINDOW, for callers who know it; else that of its model calls counts."""
    now = timezone.now()
    status, findings = judge(_facts(agent, outcome or _calls(agent, now)), now)
    return {
        "status": status,
        "facts": [finding.as_dict() for finding in findings],
        "checked_at": now,
    }


def _facts(agent: Agent, outcome: Outcome) -> Facts:
    deployments = Deployment.objects.filter(agent=agent).exclude(phase__in=Deployment.IDLE)
    wanted = list(deployments.values_list("desired", flat=True))
    live = Instance.objects.live().filter(deployment__in=deployments)
    instances = tuple(
        InstanceFact(at, version == target, state in Instance.LIVE[1:3])
        for at, version, target, state in live.values_list(
            "last_heartbeat_at", "version_id", "deployment__target_version_id", "state"
        )
    )
    ended, succeeded, p95_ms = outcome
    asked = last_probe(agent) if wanted else Probed()
    return Facts(
        is_enabled=agent.status == Agent.Status.ACTIVE,
        is_deployed=bool(wanted),
        wanted_instances=sum(wanted),
        instances=instances,
        probe_fault=_probe(agent) or asked.fault,
        ended=ended,
        succeeded=succeeded,
        p95_ms=p95_ms,
        objective=_objective(agent),
        probe_said=asked.said,
    )


def _objective(agent: Agent) -> Objective:
    told = {key: value for key, value in (agent.objective or {}).items() if value is not None}
    return Objective(**told)


def _probe(agent: Agent) -> str:
    """What is wrong with the configuration as it stands now: tools and secrets may have gone since
    it was saved. Free of charge, for it calls nobody."""
    if agent.current is None:
        return "There is no version."
    try:
        check_references(agent.project, configs.clean(agent.kind, agent.config))
    except InvalidInput as exc:
        return exc.message
    return ""


def _calls(agent: Agent, now: datetime) -> Outcome:
    found = ModelCall.objects.filter(agent=agent, started_at__gte=now - OUTCOME_WINDOW).aggregate(
        ended=Count("pk"),
        good=Count("pk", filter=Q(error_code="")),
        p95=Percentile("latency_ms", 0.95),
    )
    return found["ended"], found["good"], found["p95"]

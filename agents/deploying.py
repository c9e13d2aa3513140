"""The verbs of deployments: deploy, promote, roll back, retire. Each only points an environment at
a version and says how many instances are wanted; the fleet makes it so."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from agents.asking import Waiting, ask
from agents.history import DeploymentEvent
from agents.models import Agent, AgentVersion, Deployment, Instance
from agents.pointing import (
    Plan,
    ask_gate,
    driver_of,
    forget_question,
    locked,
    note,
    point,
    record,
    version_of,
)
from agents.replicas import check_replicas
from controlplane.kit.errors import DomainError, InvalidInput
from projects.models import Environment

Verb = DeploymentEvent.Kind


def environment_of(agent: Agent, name: str, field: str = "environment") -> Environment:
    """An environment of the agent's project by its name; 422 where there is none."""
    found = Environment.objects.filter(project_id=agent.project_id, name=name).first()
    if found is None:
        message = f"This project has no environment {name}."
        raise InvalidInput.of(field, message, "does_not_exist")
    return found


def deployment_of(agent: Agent, environment: Environment) -> Deployment:
    """The live deployment of an agent in an environment, locked; 409 `not_deployed` without one."""
    rows = Deployment.objects.select_for_update(of=("self",)).filter(agent=agent)
    found = rows.filter(environment=environment).exclude(phase__in=Deployment.IDLE).first()
    if found is None:
        message = f"{agent.name} is not deployed to {environment.name}."
        raise DomainError(message, code="not_deployed")
    found.agent, found.environment = agent, environment
    return found


def deploy(
    agent: Agent,
    environment: Environment,
    *,
    version: int | None = None,
    replicas: int | None = None,
    driver: str | None = None,
    actor: Any,
) -> Deployment | Waiting:
    """Point an environment at a version (the current one) and let `replicas` instances of it run
    (as many as before; 1 at first). Deploying what is deployed already changes nothing.

    Where a policy wants people asked first, nothing is pointed anywhere yet and what waits comes
    back. 422 for a version, driver or number that cannot be; 409 `agent_disabled`, `frozen`,
    `policy_denied`.
    """

    def plan(agent: Agent) -> Plan:
        chosen, runner = version_of(agent, version), driver_of(agent, driver)
        if replicas is not None:
            check_replicas(agent, replicas)
        return Plan(agent, environment, chosen, Verb.DEPLOYED, runner, replicas)

    return _go(agent, plan, actor)


def promote(
    agent: Agent, target: Environment, *, source: Environment | None = None, actor: Any
) -> Deployment | Waiting:
    """Point an environment at the version that is live in the one before it (or in `source`). 409
    `nothing_to_promote` where none is live there, or it is the one deployed already."""

    def plan(agent: Agent) -> Plan:
        found = _live_below(agent, target, source)
        if found is None or found.live_version is None:
            where = f"in {source.name}" if source else f"in an environment before {target.name}"
            message = f"No version of {agent.name} is live {where}."
            raise DomainError(message, code="nothing_to_promote")
        _refuse_same(agent, target, found.live_version, "nothing_to_promote")
        reason, driver = f"From {found.environment.name}", driver_of(agent, None)
        chosen = found.live_version
        return Plan(agent, target, chosen, Verb.PROMOTED, driver, None, reason)

    return _go(agent, plan, actor)


def roll_back(
    agent: Agent, environment: Environment, *, version: int | None = None, actor: Any
) -> Deployment | Waiting:
    """Point an environment back at the version that was wanted before (or at `version`). 409
    `nothing_to_roll_back` where there was none."""

    def plan(agent: Agent) -> Plan:
        deployment = deployment_of(agent, environment)
        if version is not None:
            chosen = version_of(agent, version)
        else:
            pointed = deployment.history.filter(kind__in=DeploymentEvent.POINTED)
            before = pointed.exclude(version=deployment.target_version).select_related("version")
            found = before.order_by("-id").first()
            if found is None:
                message = f"No other version of {agent.name} was deployed to {environment.name}."
                raise DomainError(message, code="nothing_to_roll_back")
            chosen = found.version
        _refuse_same(agent, environment, chosen, "nothing_to_roll_back")
        return Plan(agent, environment, chosen, Verb.ROLLED_BACK, deployment.driver)

    return _go(agent, plan, actor)


def _go(agent: Agent, planned: Callable[[Agent], Plan], actor: Any) -> Deployment | Waiting:
    """Plan under the agent's lock and do it, or ask people once the lock is given back."""
    with transaction.atomic():
        plan = planned(locked(agent))
        verdict = ask_gate(plan, actor)
        if verdict.is_allowed or plan.is_there_already():
            return point(plan, actor)
        action_sha256 = plan.action_sha256()
    return ask(plan, verdict, actor, action_sha256)


def _live_below(agent: Agent, target: Environment, source: Environment | None) -> Deployment | None:
    live = Deployment.objects.filter(agent=agent, live_version__isnull=False)
    live = live.exclude(phase__in=Deployment.IDLE).select_related("live_version", "environment")
    live = live.exclude(environment=target).order_by("-environment__rank")
    asked = Q(environment__rank__lte=target.rank) if source is None else Q(environment=source)
    return live.filter(asked).first()


@transaction.atomic
def retire(agent: Agent, environment: Environment, *, actor: Any) -> Deployment:
    """Take an agent out of an environment: its instances end when their work has. Steps that still
    wait for them go to the shared pool."""
    agent = locked(agent)
    deployment = deployment_of(agent, environment)
    deployment.phase, deployment.desired = Deployment.Phase.RETIRED, 0
    deployment.explanation = "Taken out of service."
    deployment.generation += 1
    forget_question(deployment)
    deployment.save()
    if deployment.driver == "external":
        live = Instance.objects.live().filter(deployment=deployment)
        live.update(state=Instance.State.DRAINING)
    note(deployment, Verb.RETIRED, actor=actor)
    record(deployment, "agent.undeployed", actor, {"version": deployment.target_version.number})
    return deployment


def _refuse_same(agent: Agent, environment: Environment, version: AgentVersion, code: str) -> None:
    rows = Deployment.objects.filter(agent=agent, environment=environment, target_version=version)
    if rows.exclude(phase__in=Deployment.IDLE).exists():
        message = f"Version {version.number} is what {environment.name} has already."
        raise DomainError(message, code=code)


def ready_counts(deployments: list[Deployment]) -> dict[Any, int]:
    """Deployment id → its instances that take work on the wanted version."""
    rows = Instance.objects.filter(
        deployment__in=deployments,
        state__in=(Instance.State.READY, Instance.State.BUSY),
        version=F("deployment__target_version"),
    )
    counts: dict[Any, int] = {}
    for key in rows.values_list("deployment_id", flat=True):
        counts[key] = counts.get(key, 0) + 1
    return counts

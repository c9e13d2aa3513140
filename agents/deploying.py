"""The verbs of deployments: deploy, promote, roll back, retire. Each only points an environment at
a version and says how many instances are wanted; the fleet makes it so."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from agents import config as configs
from agents.history import DeploymentEvent
from agents.models import Agent, AgentVersion, Deployment, Instance, Kind
from agents.replicas import check_replicas
from agents.services import check_references
from controlplane.kit import audit, events, gate
from controlplane.kit.errors import DomainError, InvalidInput
from projects.models import Environment

# What runs an agent of a kind. `remote` has no processes, those of `external` are the operator's.
DRIVERS: dict[str, str] = {Kind.MODEL: "process", Kind.WORKER: "external", Kind.REMOTE: "remote"}
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


@transaction.atomic
def deploy(
    agent: Agent,
    environment: Environment,
    *,
    version: int | None = None,
    replicas: int | None = None,
    driver: str | None = None,
    actor: Any,
) -> Deployment:
    """Point an environment at a version (the current one) and let `replicas` instances of it run
    (as many as before; 1 at first). Deploying what is deployed already changes nothing.

    422 for a version, driver or number that cannot be; 409 `agent_disabled`, `frozen`,
    `policy_denied`, `approval_required`.
    """
    agent = _locked(agent)
    chosen = _version(agent, version)
    driver = _driver(agent, driver)
    if replicas is not None:
        check_replicas(agent, replicas)
    _ask(agent, environment, chosen, replicas, actor)
    return _point(agent, environment, chosen, Verb.DEPLOYED, actor, replicas, driver)


@transaction.atomic
def promote(
    agent: Agent, target: Environment, *, source: Environment | None = None, actor: Any
) -> Deployment:
    """Point an environment at the version that is live in the one before it (or in `source`). 409
    `nothing_to_promote` where none is live there, or it is the one deployed already."""
    agent = _locked(agent)
    live = Deployment.objects.filter(agent=agent, live_version__isnull=False)
    live = live.exclude(phase__in=Deployment.IDLE).select_related("live_version", "environment")
    live = live.exclude(environment=target).order_by("-environment__rank")
    asked = Q(environment__rank__lte=target.rank) if source is None else Q(environment=source)
    found = live.filter(asked).first()
    if found is None or found.live_version is None:
        where = f"in {source.name}" if source else f"in an environment before {target.name}"
        raise DomainError(f"No version of {agent.name} is live {where}.", code="nothing_to_promote")
    chosen = found.live_version
    _refuse_same(agent, target, chosen, "nothing_to_promote")
    _ask(agent, target, chosen, None, actor)
    reason = f"From {found.environment.name}"
    driver = _driver(agent, None)
    return _point(agent, target, chosen, Verb.PROMOTED, actor, None, driver, reason)


@transaction.atomic
def roll_back(
    agent: Agent, environment: Environment, *, version: int | None = None, actor: Any
) -> Deployment:
    """Point an environment back at the version that was wanted before (or at `version`). 409
    `nothing_to_roll_back` where there was none."""
    agent = _locked(agent)
    deployment = deployment_of(agent, environment)
    if version is not None:
        chosen = _version(agent, version)
    else:
        pointed = deployment.history.filter(kind__in=DeploymentEvent.POINTED)
        before = pointed.exclude(version=deployment.target_version).select_related("version")
        found = before.order_by("-id").first()
        if found is None:
            message = f"No other version of {agent.name} was deployed to {environment.name}."
            raise DomainError(message, code="nothing_to_roll_back")
        chosen = found.version
    _refuse_same(agent, environment, chosen, "nothing_to_roll_back")
    _ask(agent, environment, chosen, None, actor)
    driver = deployment.driver
    return _point(agent, environment, chosen, Verb.ROLLED_BACK, actor, None, driver)


@transaction.atomic
def retire(agent: Agent, environment: Environment, *, actor: Any) -> Deployment:
    """Take an agent out of an environment: its instances end when their work has. Steps that still
    wait for them go to the shared pool."""
    agent = _locked(agent)
    deployment = deployment_of(agent, environment)
    deployment.phase, deployment.desired = Deployment.Phase.RETIRED, 0
    deployment.explanation = "Taken out of service."
    deployment.generation += 1
    deployment.save()
    if deployment.driver == "external":
        live = Instance.objects.live().filter(deployment=deployment)
        live.update(state=Instance.State.DRAINING)
    note(deployment, Verb.RETIRED, "", actor=actor)
    _record(deployment, "agent.undeployed", actor, {"version": deployment.target_version.number})
    return deployment


def note(
    deployment: Deployment,
    kind: str,
    reason: str,
    *,
    signal: Mapping[str, Any] | None = None,
    actor: Any = None,
) -> DeploymentEvent:
    """One line of a deployment's history, in the running transaction."""
    return DeploymentEvent.objects.create(
        deployment=deployment,
        kind=kind,
        reason=reason[:500],
        version=deployment.target_version,
        signal=dict(signal or {}),
        actor_name=str(actor)[:120] if actor else "",
    )


def _locked(agent: Agent) -> Agent:
    """The agent's row, so that two people cannot point one environment at once."""
    rows = Agent.objects.select_for_update(of=("self",)).select_related("project", "current")
    found = rows.get(pk=agent.pk)
    if found.status in (Agent.Status.DISABLED, Agent.Status.RETIRED):
        raise DomainError(f"{found.name} is {found.status}.", code="agent_disabled")
    return found


def _version(agent: Agent, number: int | None) -> AgentVersion:
    found = agent.versions.filter(number=number).first() if number else agent.current
    if found is None:
        what = f"version {number}" if number else "version yet"
        message = f"{agent.name} has no {what}."
        raise InvalidInput.of("version", message, "does_not_exist")
    found.agent = agent
    check_references(agent.project, configs.clean(agent.kind, found.config))
    return found


def _driver(agent: Agent, driver: str | None) -> str:
    own = DRIVERS[agent.kind]
    if driver is not None and driver != own:
        message = f"A {agent.kind} agent is run by the driver {own}, not by {driver}."
        raise InvalidInput.of("driver", message, "driver_not_supported")
    return own


def _refuse_same(agent: Agent, environment: Environment, version: AgentVersion, code: str) -> None:
    rows = Deployment.objects.filter(agent=agent, environment=environment, target_version=version)
    if rows.exclude(phase__in=Deployment.IDLE).exists():
        message = f"Version {version.number} is what {environment.name} has already."
        raise DomainError(message, code=code)


def _ask(
    agent: Agent,
    environment: Environment,
    version: AgentVersion,
    replicas: int | None,
    actor: Any,
) -> None:
    """The freeze switch and the policy's word."""
    for held, name in ((agent.project, agent.project.name), (environment, environment.name)):
        if held.frozen_at is not None:
            message = f"{name} is frozen; nothing is deployed until it is thawed."
            raise DomainError(message, code="frozen")
    verdict = gate.check(
        "deploy",
        {
            "project_id": agent.project_id,
            "actor": actor,
            "environment": environment.name,
            "agent": {
                "id": agent.pk,
                "slug": agent.slug,
                "kind": agent.kind,
                "version": version.number,
                "tags": agent.tags,
            },
            "replicas": replicas,
        },
    )
    if not verdict.is_allowed:
        asks = verdict.outcome == "require_approval"
        code = verdict.code or ("approval_required" if asks else "policy_denied")
        raise DomainError(verdict.reason or "A policy does not allow this deployment.", code=code)


def _point(
    agent: Agent,
    environment: Environment,
    version: AgentVersion,
    verb: str,
    actor: Any,
    replicas: int | None,
    driver: str,
    reason: str = "",
) -> Deployment:
    """Make a version the wanted one, with its history, event and audit row."""
    rows = Deployment.objects.select_for_update(of=("self",))
    found = rows.filter(agent=agent, environment=environment).first()
    was = found.target_version.number if found and found.is_live else None
    if found is None:
        found = Deployment(project=agent.project, generation=0)
    elif found.is_live and found.target_version_id == version.pk and replicas is None:
        return found
    is_new = not found.is_live or found.generation == 0
    found.agent, found.environment, found.driver = agent, environment, driver
    found.target_version = version
    if replicas is not None or is_new:
        count = 1 if replicas is None else replicas
        found.replicas_min = found.replicas_max = found.desired = count
        found.autoscale = None
    _begin(found, is_new)
    found.generation += 1
    found.save()
    if driver == "external":
        # Each lease carries the configuration, so every worker works by the new one at once.
        Instance.objects.live().filter(deployment=found).update(version=version)
    note(found, verb, reason, actor=actor, signal={"from_version": was, "version": version.number})
    before = None if was is None else {"version": was, "environment": environment.name}
    _record(found, "agent.deployed", actor, {"how": verb, "version": version.number}, before)
    return found


def _begin(found: Deployment, is_new: bool) -> None:
    """The phase a deployment begins or goes on with."""
    if found.driver == "process":
        found.phase = Deployment.Phase.PENDING if is_new else Deployment.Phase.PROGRESSING
        found.live_version = None if is_new else found.live_version
        found.explanation = "Its instances are being started."
        return
    found.live_version = found.target_version
    found.phase = Deployment.Phase.AVAILABLE
    found.observed_generation = found.generation + 1
    if found.driver == "remote":
        config = found.target_version.config
        found.desired = found.replicas_min = found.replicas_max = 0
        found.concurrency = config.get("max_concurrency") or found.concurrency
        found.explanation = "Called where it runs; there are no processes of ours."
    else:
        found.explanation = "Waits for workers that register themselves."
        if not is_new and Instance.objects.live().filter(deployment=found).exists():
            found.explanation = "Workers of the operator do its work."


def _record(
    deployment: Deployment,
    action: str,
    actor: Any,
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> None:
    facts = {"environment": deployment.environment.name, **after}
    audit.record(
        action,
        actor=actor,
        project_id=deployment.project_id,
        target=deployment.agent,
        before=before,
        after={**facts, "replicas": deployment.desired, "driver": deployment.driver},
    )
    data = {"deployment": str(deployment.pk), "phase": deployment.phase, **facts}
    events.append(deployment.agent_id, deployment.project_id, "agent.deployed", data)


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

"""How an environment is made to point at a version of an agent: what is planned, what stands in its
way, and the act itself with history, event and audit row."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from agents import config as configs
from agents.history import DeploymentEvent, note
from agents.models import Agent, AgentVersion, Deployment, Instance, Kind
from agents.services import check_references
from controlplane.kit import asking, audit, events, gate
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.json import dumps
from projects import freezing
from projects.models import Environment

# What runs an agent of a kind. `remote` has no processes, those of `external` are the operator's.
DRIVERS: dict[str, str] = {Kind.MODEL: "process", Kind.WORKER: "external", Kind.REMOTE: "remote"}
SUBJECT = "deployment"
# After one of these the same act is another one: what it would change has changed.
TURNS = (
    *DeploymentEvent.POINTED,
    DeploymentEvent.Kind.RETIRED,
    DeploymentEvent.Kind.REFUSED,
)


@dataclass(frozen=True)
class Plan:
    """Which version an environment is to point at, by which verb, and with what."""

    agent: Agent
    environment: Environment
    version: AgentVersion
    verb: str
    driver: str
    replicas: int | None = None
    reason: str = ""

    @property
    def key(self) -> str:
        """One question at a time is asked about an agent in an environment."""
        return f"{self.agent.pk}:{self.environment.pk}"

    def deployment(self) -> Deployment | None:
        """What is there now."""
        rows = Deployment.objects.filter(agent=self.agent, environment=self.environment)
        return rows.select_related("target_version").first()

    def is_there_already(self) -> bool:
        """Whether it would change nothing."""
        now = self.deployment()
        same = now is not None and now.is_live and now.target_version_id == self.version.pk
        return same and self.replicas is None

    def action_sha256(self) -> str:
        """A fingerprint of exactly what would be done, and to what: the version's content and the
        last thing that was decided about the environment."""
        turns = DeploymentEvent.objects.filter(
            deployment__agent=self.agent, deployment__environment=self.environment, kind__in=TURNS
        )
        facts = {
            **self.facts(),
            "agent": self.agent.pk,
            "environment": self.environment.pk,
            "content": self.version.sha256,
            "after": turns.order_by("-id").values_list("pk", flat=True).first(),
        }
        return hashlib.sha256(dumps(facts)).hexdigest()

    def facts(self) -> dict[str, Any]:
        """As a waiting deployment keeps it, to be carried out as asked."""
        return {
            "verb": str(self.verb),
            "version": self.version.number,
            "replicas": self.replicas,
            "driver": self.driver,
            "reason": self.reason,
        }


def locked(agent: Agent) -> Agent:
    """The agent's row, so that two people cannot point one environment at once."""
    rows = Agent.objects.select_for_update(of=("self",)).select_related("project", "current")
    found = rows.filter(pk=agent.pk, deleted_at=None).first()
    if found is None:
        raise DomainError(f"{agent.name} was deleted.", code="agent_deleted")
    if found.status in (Agent.Status.DISABLED, Agent.Status.RETIRED):
        raise DomainError(f"{found.name} is {found.status}.", code="agent_disabled")
    return found


def version_of(agent: Agent, number: int | None) -> AgentVersion:
    """A version (the current one) whose tools and secret are there; 422 where it cannot be."""
    found = agent.versions.filter(number=number).first() if number else agent.current
    if found is None:
        what = f"version {number}" if number else "version yet"
        message = f"{agent.name} has no {what}."
        raise InvalidInput.of("version", message, "does_not_exist")
    found.agent = agent
    check_references(agent.project, configs.clean(agent.kind, found.config))
    return found


def driver_of(agent: Agent, driver: str | None) -> str:
    """What runs the agent; 422 `driver_not_supported` for another one."""
    own = DRIVERS[agent.kind]
    if driver is not None and driver != own:
        message = f"A {agent.kind} agent is run by the driver {own}, not by {driver}."
        raise InvalidInput.of("driver", message, "driver_not_supported")
    return own


def ask_gate(plan: Plan, actor: Any) -> gate.Verdict:
    """The policy's word on a plan: allowed, or to be approved. 409 `frozen` while the freeze switch
    is on, `policy_denied` where a policy forbids it."""
    agent, environment = plan.agent, plan.environment
    freezing.refuse_frozen(agent.project, environment)
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
                "version": plan.version.number,
                "tags": agent.tags,
            },
            "replicas": plan.replicas,
        },
    )
    if verdict.outcome == "deny":
        message = verdict.reason or "A policy does not allow this deployment."
        raise DomainError(message, code=verdict.code or "policy_denied")
    return verdict


def point(plan: Plan, actor: Any, approval: str = "") -> Deployment:
    """Make a version the wanted one, with its history, event and audit row. What waited for an
    approval to point the environment elsewhere is taken back."""
    agent, environment, version = plan.agent, plan.environment, plan.version
    replicas, driver = plan.replicas, plan.driver
    rows = Deployment.objects.select_for_update(of=("self",))
    found = rows.filter(agent=agent, environment=environment).first()
    was = found.target_version.number if found and found.is_live else None
    if found is None:
        found = Deployment(project=agent.project, generation=0)
    elif found.is_live and found.target_version_id == version.pk and replicas is None:
        if approval:
            forget_question(found)
            found.save()
        return found
    is_new = not found.is_live or found.generation == 0
    found.agent, found.environment, found.driver = agent, environment, driver
    found.target_version = version
    if replicas is not None or is_new:
        count = 1 if replicas is None else replicas
        found.replicas_min = found.replicas_max = found.desired = count
        found.autoscale = None
    forget_question(found)
    _begin(found, is_new)
    found.generation += 1
    found.save()
    if driver == "external":
        # Each lease carries the configuration, so every worker works by the new one at once.
        Instance.objects.live().filter(deployment=found).update(version=version)
    signal: dict[str, Any] = {"from_version": was, "version": version.number}
    after: dict[str, Any] = {"how": plan.verb, "version": version.number}
    if approval:
        signal, after = {**signal, "approval": approval}, {**after, "approval": approval}
    note(found, plan.verb, plan.reason, signal=signal, actor=actor)
    before = None if was is None else {"version": was, "environment": environment.name}
    record(found, "agent.deployed", actor, after, before)
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


def forget_question(deployment: Deployment) -> None:
    """Nothing waits here any more; an open question is taken back after commit. Not saved."""
    if deployment.waiting is None:
        return
    deployment.waiting = None
    key = f"{deployment.agent_id}:{deployment.environment_id}"
    transaction.on_commit(partial(asking.withdraw, deployment.project_id, SUBJECT, key))


def record(
    deployment: Deployment,
    action: str,
    actor: Any,
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> None:
    """The audit row and the event `agent.deployed`."""
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

"""Deployments that wait for people: asked because a policy wants it, carried out exactly as asked
or refused. Lock order: approval, agent, deployment."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from agents.comparison import compare
from agents.history import DeploymentEvent
from agents.models import Deployment
from agents.pointing import SUBJECT, Plan, ask_gate, locked, note, point, version_of
from agents.replicas import check_replicas
from controlplane.kit import asking, audit, events
from controlplane.kit.errors import DomainError
from controlplane.kit.gate import Verdict
from projects.people import User

DOING = {
    DeploymentEvent.Kind.DEPLOYED: "Deploy {agent} version {version} to {where}",
    DeploymentEvent.Kind.PROMOTED: "Promote {agent} version {version} to {where}",
    DeploymentEvent.Kind.ROLLED_BACK: "Roll {agent} back to version {version} in {where}",
}
MOST_CHANGES = 50


@dataclass(frozen=True)
class Waiting:
    """A deployment that was not made: people are asked first."""

    plan: Plan
    deployment: Deployment
    asked: asking.Asked


def ask(plan: Plan, verdict: Verdict, actor: Any, action_sha256: str) -> Waiting:
    """Put a plan before people. The same plan is asked once; another one for the same environment
    takes its place. 409 `changed` where the environment is not what the plan was made for."""
    with transaction.atomic():
        asked = asking.ask(
            project_id=plan.agent.project_id,
            subject=SUBJECT,
            key=plan.key,
            title=title_of(plan),
            packet=_packet(plan),
            action_sha256=action_sha256,
            verdict=verdict,
            actor=actor,
        )
        agent = locked(plan.agent)
        if plan.action_sha256() != action_sha256:
            raise DomainError(_changed(plan.environment.name), code="changed")
        row = _row(plan)
        if row.waiting is None or row.waiting["approval"] != str(asked.id):
            _park(row, plan, asked, actor)
            facts = {"approval": str(asked.id), **plan.facts()}
            note(row, DeploymentEvent.Kind.ASKED, asked.title, plan.version, facts, actor)
            _tell(row, "agent.deployment_asked", actor, facts)
        row.agent = agent
    return Waiting(plan, row, asked)


def title_of(plan: Plan) -> str:
    """What is asked, as a sentence without its end."""
    doing = DOING[DeploymentEvent.Kind(plan.verb)]
    return doing.format(agent=plan.agent, version=plan.version.number, where=plan.environment.name)


def _packet(plan: Plan) -> dict[str, Any]:
    """Everything one needs to decide: from which version to which, what differs, how many."""
    now = plan.deployment()
    is_live = now is not None and now.is_live
    before = now.target_version if now is not None and is_live else None
    diff = [{"path": "version", "before": before and before.number, "after": plan.version.number}]
    if plan.replicas is not None:
        count = now.desired if now is not None and is_live else None
        diff.append({"path": "replicas", "before": count, "after": plan.replicas})
    if before is not None:
        for change in compare(before.config, plan.version.config)[:MOST_CHANGES]:
            path = f"config.{change['path']}"
            diff.append({"path": path, "before": change["before"], "after": change["after"]})
    facts: dict[str, Any] = {
        "agent": plan.agent.name,
        "environment": plan.environment.name,
        "diff": diff,
    }
    if before is None:
        facts["show"] = plan.version.config
    if plan.reason:
        facts["how"] = plan.reason
    return facts


def _row(plan: Plan) -> Deployment:
    """The deployment's row, locked; where there is none yet, one that is not in service."""
    rows = Deployment.objects.select_for_update(of=("self",))
    found = rows.filter(agent=plan.agent, environment=plan.environment).first()
    if found is None:
        found = Deployment(
            project=plan.agent.project,
            generation=0,
            desired=0,
            phase=Deployment.Phase.RETIRED,
            driver=plan.driver,
            target_version=plan.version,
        )
    found.agent, found.environment = plan.agent, plan.environment
    return found


def _park(row: Deployment, plan: Plan, asked: asking.Asked, actor: Any) -> None:
    row.waiting = {
        **plan.facts(),
        "title": asked.title,
        "approval": str(asked.id),
        "by": str(actor) if actor else "",
        "by_id": str(actor.pk) if isinstance(actor, User) else None,
        "at": timezone.now().isoformat(),
    }
    if row.is_live:
        row.save(update_fields=["waiting", "updated_at"])
        return
    row.phase, row.explanation = Deployment.Phase.PAUSED, "Waits for an approval."
    row.target_version = plan.version
    row.save()


# What became of it


def answered(
    key: str, approval_id: UUID, action_sha256: str, *, is_approved: bool, by: str, comment: str
) -> None:
    """The word on what was asked under `key`, in the transaction that decides it: carried out, or
    written down as refused. 409 `changed` where it cannot be done as it was shown any more; also
    `frozen`, `policy_denied` and what else stands in the way of a deployment now."""
    agent_id, _, environment_id = key.partition(":")
    rows = Deployment.objects.filter(agent_id=agent_id, environment_id=environment_id)
    row = rows.select_related("agent__project", "environment").first()
    if is_approved:
        _carry_out(row, approval_id, action_sha256)
    elif row is not None:
        _refuse(row, approval_id, by, comment)


def _carry_out(row: Deployment | None, approval_id: UUID, action_sha256: str) -> None:
    if row is None:
        raise DomainError("What this was asked about is gone.", code="changed")
    agent, where = locked(row.agent), row.environment.name
    kept = Deployment.objects.select_for_update(of=("self",)).get(pk=row.pk).waiting
    if kept is None or kept["approval"] != str(approval_id):
        raise DomainError(_changed(where), code="changed")
    plan = Plan(
        agent,
        row.environment,
        version_of(agent, kept["version"]),
        kept["verb"],
        kept["driver"],
        kept["replicas"],
        kept["reason"],
    )
    if plan.action_sha256() != action_sha256:
        raise DomainError(_changed(where), code="changed")
    if plan.replicas is not None:
        check_replicas(agent, plan.replicas)
    actor = _requester(row, kept)
    ask_gate(plan, actor)
    point(plan, actor, approval=str(approval_id))


def _changed(where: str) -> str:
    return (
        f"What runs in {where} was changed after this was asked, so it is not done as it was "
        "shown: reject it and ask again."
    )


def _requester(row: Deployment, kept: dict[str, Any]) -> Any:
    """Who asked, where they may still deploy there."""
    if kept["by_id"] is None:
        return None
    user = User.objects.filter(pk=kept["by_id"]).first()
    verb = "deploy_protected_agent" if row.environment.protected else "deploy_agent"
    if user is None or not user.has_perm(f"agents.{verb}", row.agent):
        message = f"{kept['by'] or 'Who asked'} may no longer deploy to {row.environment.name}."
        raise DomainError(message, code="requester_may_not")
    return user


def _refuse(row: Deployment, approval_id: UUID, by: str, comment: str) -> None:
    kept = Deployment.objects.select_for_update(of=("self",)).get(pk=row.pk).waiting
    if kept is None or kept["approval"] != str(approval_id):
        return
    how = f"Rejected by {by}: {comment}" if by else "Nobody decided in time."
    rows = Deployment.objects.filter(pk=row.pk)
    rows.update(waiting=None, updated_at=timezone.now())
    rows.filter(phase=Deployment.Phase.PAUSED).update(
        phase=Deployment.Phase.RETIRED, explanation=how[:500]
    )
    version = row.agent.versions.filter(number=kept["version"]).first()
    facts = {"approval": str(approval_id), "title": kept["title"], "version": kept["version"]}
    note(row, DeploymentEvent.Kind.REFUSED, f"{kept['title']}. {how}", version, facts, by)
    _tell(row, "agent.deployment_refused", None, {**facts, "reason": how})


def _tell(row: Deployment, word: str, actor: Any, facts: dict[str, Any]) -> None:
    after = {"environment": row.environment.name, **facts}
    project_id = row.project_id
    audit.record(word, actor=actor, project_id=project_id, target=row.agent, after=after)
    data = {"deployment": str(row.pk), "phase": row.phase, **after}
    events.append(row.agent_id, project_id, word, data)

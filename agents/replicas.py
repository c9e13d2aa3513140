"""How many instances a deployment has: set by hand, or between two bounds by the work there is."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from agents.history import DeploymentEvent
from agents.models import Agent, Deployment
from agents.scaling import AUTOSCALE_DEFAULTS
from controlplane.kit import audit, events
from controlplane.kit.errors import InvalidInput

MOST_CONCURRENCY = 200


def check_replicas(agent: Agent, count: int, field: str = "replicas") -> None:
    """422 where so many instances are over the cap, or the agent has none that are ours."""
    if agent.kind != "model" and count:
        words = (
            "is called where it runs; its concurrency is capped, it has no replicas"
            if agent.kind == "remote"
            else "is worked on by processes of the operator; start or stop them there"
        )
        raise InvalidInput.of(field, f"{agent.name} {words}.", "not_scalable")
    if count > settings.SPARKOPS_MAX_REPLICAS:
        message = (
            f"{count} replicas are over the cap of {settings.SPARKOPS_MAX_REPLICAS} "
            "(SPARKOPS_MAX_REPLICAS)."
        )
        raise InvalidInput.of(field, message, "over_cap")


def facts(deployment: Deployment) -> dict[str, Any]:
    """The scale of a deployment, for history and audit."""
    return {
        "replicas": deployment.desired,
        "min": deployment.replicas_min,
        "max": deployment.replicas_max,
        "concurrency": deployment.concurrency,
        "autoscale": deployment.autoscale,
    }


@transaction.atomic
def scale(
    deployment: Deployment,
    *,
    replicas: int | None = None,
    least: int | None = None,
    most: int | None = None,
    concurrency: int | None = None,
    autoscale: Mapping[str, Any] | None = None,
    actor: Any,
) -> Deployment:
    """Change how many instances run and how much each does at once. `replicas` alone sets the
    number by hand; `least`, `most` or `autoscale` lets the work decide between two bounds.

    422 over the cap, where the bounds cross, or for a body that says nothing. The caller holds the
    deployment's row lock.
    """
    asked = (replicas, least, most, concurrency, autoscale)
    if all(each is None for each in asked):
        raise InvalidInput("Say replicas, min, max, concurrency or autoscale.", code="required")
    before = facts(deployment)
    _count(deployment, replicas, least, most, autoscale)
    if concurrency is not None:
        if not 1 <= concurrency <= MOST_CONCURRENCY:
            message = f"concurrency is from 1 to {MOST_CONCURRENCY}."
            raise InvalidInput.of("concurrency", message, "invalid")
        deployment.concurrency = concurrency
    after = facts(deployment)
    if after == before:
        return deployment
    deployment.generation += 1
    if deployment.driver == "process":
        deployment.phase = Deployment.Phase.PROGRESSING
        deployment.explanation = f"Scaled to {deployment.desired} by {actor}."
    deployment.save()
    signal = {"before": before, "after": after}
    reason = f"{before['replicas']} → {after['replicas']} by hand"
    if after["replicas"] == before["replicas"]:
        reason = "The bounds or the concurrency were changed"
    tell_scaled(deployment, DeploymentEvent.Kind.SCALED, reason, signal, actor=actor)
    audit.record(
        "agent.scaled",
        actor=actor,
        project_id=deployment.project_id,
        target=deployment.agent,
        before={"environment": deployment.environment.name, **before},
        after={"environment": deployment.environment.name, **after},
    )
    return deployment


def _count(
    deployment: Deployment,
    replicas: int | None,
    least: int | None,
    most: int | None,
    autoscale: Mapping[str, Any] | None,
) -> None:
    agent = deployment.agent
    for field, value in (("replicas", replicas), ("min", least), ("max", most)):
        if value is not None:
            check_replicas(agent, value, field)
    if autoscale is not None and agent.kind != "model":
        check_replicas(agent, 1, "autoscale")
    if least is None and most is None and autoscale is None:
        if replicas is not None:
            deployment.replicas_min = deployment.replicas_max = deployment.desired = replicas
            deployment.autoscale = None
        return
    low = deployment.replicas_min if least is None else least
    high = most if most is not None else max(deployment.replicas_max, low)
    if low > high:
        message = f"min ({low}) is above max ({high})."
        raise InvalidInput.of("min" if least is not None else "max", message, "bounds_cross")
    wanted = deployment.desired if replicas is None else replicas
    if replicas is not None and not low <= replicas <= high:
        message = f"{replicas} does not lie between min ({low}) and max ({high})."
        raise InvalidInput.of("replicas", message, "out_of_bounds")
    deployment.replicas_min, deployment.replicas_max = low, high
    deployment.desired = min(max(wanted, low), high)
    deployment.autoscale = {
        **AUTOSCALE_DEFAULTS,
        **(deployment.autoscale or {}),
        **(autoscale or {}),
    }


def tell_scaled(
    deployment: Deployment,
    kind: str,
    reason: str,
    signal: Mapping[str, Any],
    *,
    actor: Any = None,
) -> None:
    """A line of history and the event `agent.scaled`."""
    DeploymentEvent.objects.create(
        deployment=deployment,
        kind=kind,
        reason=reason[:500],
        version=deployment.target_version,
        signal=dict(signal),
        actor_name=str(actor)[:120] if actor else "",
    )
    data = {
        "deployment": str(deployment.pk),
        "environment": deployment.environment.name,
        "how": str(kind),
        "replicas": deployment.desired,
        "reason": reason,
        "signal": dict(signal),
    }
    events.append(deployment.agent_id, deployment.project_id, "agent.scaled", data)

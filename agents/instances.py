"""The rows of live worker processes: written by the workers themselves and by who watches them."""

from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from agents.models import Deployment, Instance
from controlplane.kit import events

SHARED = "shared"
_NOT_GONE = Q(state__in=Instance.LIVE)


@transaction.atomic
def register(
    *,
    host: str,
    pid: int,
    queue: str = SHARED,
    capacity: int,
    deployment: Deployment | None = None,
) -> UUID:
    """A new live instance, ready from its first moment; its id is the worker's identity.

    A row that an earlier process of the same host and process id left behind is closed.
    """
    mark_dead(host=host, pid=pid)
    instance = Instance.objects.create(
        deployment=deployment,
        version=deployment.target_version if deployment else None,
        queue=queue,
        host=host[:120],
        pid=pid,
        state=Instance.State.READY,
        started_at=Now(),
        last_heartbeat_at=Now(),
        capacity=capacity,
    )
    if deployment is not None:
        _tell("instance.started", instance.pk, deployment, host, pid)
    return instance.pk


def beat(instance_id: UUID, *, in_flight: int, rss_bytes: int, cpu_percent: float) -> bool:
    """One heartbeat by the database's clock; False where the instance was told to stop or its row
    is gone. A row that was given up for dead lives again: the process was only asleep."""
    state = Case(
        When(state=Instance.State.DRAINING, then=F("state")),
        default=Value(Instance.State.BUSY if in_flight else Instance.State.READY),
    )
    return bool(
        Instance.objects.filter(pk=instance_id)
        .exclude(state=Instance.State.STOPPED)
        .update(
            last_heartbeat_at=Now(),
            in_flight=in_flight,
            rss_bytes=rss_bytes,
            cpu_percent=cpu_percent,
            state=state,
            stopped_at=None,
        )
    )


def drain(instance_id: UUID) -> bool:
    """Have an instance take nothing new; whether it was live."""
    rows = Instance.objects.filter(_NOT_GONE, pk=instance_id)
    return bool(rows.update(state=Instance.State.DRAINING))


def stop(instance_id: UUID) -> None:
    """The instance has ended in good order."""
    Instance.objects.filter(pk=instance_id).update(
        state=Instance.State.STOPPED, stopped_at=Now(), in_flight=0
    )


@transaction.atomic
def mark_dead(*, host: str, pid: int) -> list[UUID]:
    """Close the live rows of a process that is known to be gone; their ids."""
    lost = list(
        Instance.objects.filter(_NOT_GONE, host=host, pid=pid)
        .select_for_update(of=("self",))
        .select_related("deployment")
    )
    Instance.objects.filter(pk__in=[instance.pk for instance in lost]).update(
        state=Instance.State.DEAD, stopped_at=Now(), in_flight=0
    )
    for instance in lost:
        tell_lost(instance)
    return [instance.pk for instance in lost]


def tell_lost(instance: Instance) -> None:
    """Write `instance.lost` to the agent's stream; instances of the shared pool belong to no
    project and have no stream."""
    if instance.deployment is not None:
        _tell("instance.lost", instance.pk, instance.deployment, instance.host, instance.pid)


def _tell(kind: str, instance_id: UUID, deployment: Deployment, host: str, pid: int) -> None:
    data = {
        "instance": str(instance_id),
        "host": host,
        "pid": pid,
        "environment": deployment.environment.name,
    }
    events.append(deployment.agent_id, deployment.project_id, kind, data)

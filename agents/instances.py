"""The rows of live worker processes: written by the workers themselves and by who watches them."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from agents.history import DeploymentEvent
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


def welcome(
    deployment: Deployment, *, name: str, capacity: int, about: Mapping[str, Any]
) -> Instance:
    """The row of a worker that came by HTTP, ready for work."""
    instance = Instance.objects.create(
        deployment=deployment,
        version=deployment.target_version,
        queue=deployment.queue,
        host=name[:120],
        state=Instance.State.READY,
        started_at=Now(),
        last_heartbeat_at=Now(),
        capacity=capacity,
        about=dict(about),
    )
    _tell("instance.started", instance.pk, deployment, instance.host, 0)
    DeploymentEvent.objects.create(
        deployment=deployment,
        kind=DeploymentEvent.Kind.INSTANCE_STARTED,
        reason="A worker of the operator registered",
        version=deployment.target_version,
        signal={"instance": str(instance.pk), "host": instance.host},
    )
    return instance


def prepare(deployment: Deployment, *, host: str) -> Instance:
    """The row of an instance whose process is about to be started."""
    return Instance.objects.create(
        deployment=deployment,
        version=deployment.target_version,
        queue=deployment.queue,
        host=host[:120],
        state=Instance.State.STARTING,
        started_at=Now(),
        last_heartbeat_at=Now(),
        capacity=deployment.concurrency,
    )


def has_process(instance_id: UUID, pid: int) -> None:
    """The process of a prepared instance was started; it may have said so itself already."""
    Instance.objects.filter(pk=instance_id).update(pid=pid)


def still_starting(instance_id: UUID) -> None:
    """Its process lives though its heart does not beat yet."""
    rows = Instance.objects.filter(pk=instance_id, state=Instance.State.STARTING)
    rows.update(last_heartbeat_at=Now())


@transaction.atomic
def begin(instance_id: UUID, *, pid: int) -> bool:
    """A prepared instance is ready for work; False where nobody waits for it any more."""
    rows = Instance.objects.filter(pk=instance_id, state=Instance.State.STARTING)
    found = rows.select_related("deployment__environment", "version").first()
    if found is None or found.deployment is None:
        return False
    rows.update(pid=pid, state=Instance.State.READY, last_heartbeat_at=Now())
    _tell("instance.started", found.pk, found.deployment, found.host, pid)
    DeploymentEvent.objects.create(
        deployment=found.deployment,
        kind=DeploymentEvent.Kind.INSTANCE_STARTED,
        version=found.version,
        signal={"instance": str(found.pk), "host": found.host, "pid": pid},
    )
    return True


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


@transaction.atomic
def stop(instance_id: UUID) -> None:
    """The instance has ended in good order."""
    rows = Instance.objects.filter(_NOT_GONE, pk=instance_id)
    found = rows.select_related("deployment__environment").first()
    if found is None:
        return
    rows.update(state=Instance.State.STOPPED, stopped_at=Now(), in_flight=0)
    if found.deployment is not None:
        _tell("instance.stopped", found.pk, found.deployment, found.host, found.pid)


@transaction.atomic
def bury(instance_id: UUID) -> None:
    """The instance is known to be gone; its steps go to others at the next sweep."""
    rows = Instance.objects.filter(_NOT_GONE, pk=instance_id)
    found = rows.select_related("deployment__environment").first()
    if found is not None:
        rows.update(state=Instance.State.DEAD, stopped_at=Now(), in_flight=0)
        tell_lost(found)


def tell_buried(instance_ids: Iterable[UUID]) -> None:
    """`instance.lost` for rows that the sweep has just closed."""
    rows = Instance.objects.filter(pk__in=list(instance_ids), deployment__isnull=False)
    for instance in rows.select_related("deployment__environment"):
        tell_lost(instance)


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

"""The fleet of a host: makes what runs agree with what deployments want, again and again.

It only reads rows and asks its driver; what it decides is written down with the figures it was
decided on. Each deployment is tended by one fleet at a time, which holds its advisory lock.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import psycopg
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from agents import replicas
from agents.drivers.process import FAILURES_TO_FAIL, ProcessDriver, is_fresh
from agents.history import DeploymentEvent, note
from agents.models import Deployment, Instance, ModelCall
from agents.scaling import AUTOSCALE_DEFAULTS, Bounds, Decision, Memory, Signal, decide
from controlplane.kit import events

logger = logging.getLogger(__name__)
LOCK_CLASS = 7_310_023
THROTTLE_WINDOW = timedelta(seconds=60)
Phase = Deployment.Phase


class Waiting(Protocol):
    """What is seen of a queue."""

    @property
    def queued(self) -> int:
        """Steps that wait."""

    @property
    def running(self) -> int:
        """Steps that are worked on."""

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest has waited."""


Signals = Callable[[Iterable[str]], Mapping[str, Any]]


class Locks:
    """Advisory locks on deployments, held by a connection that is open while any is held."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.conn: psycopg.Connection | None = None
        self.held: set[UUID] = set()

    def hold(self, wanted: set[UUID]) -> set[UUID]:
        """Take what is free of the wanted ones, let go of the others; those held now. Raises
        psycopg.Error where the connection is lost, and with it every lock."""
        if not wanted and self.conn is None:
            return set()
        try:
            if self.conn is None or self.conn.closed:
                self.conn, self.held = psycopg.connect(self.conninfo, autocommit=True), set()
            for key in self.held - wanted:
                self.conn.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, _small(key)])
            self.held &= wanted
            for key in wanted - self.held:
                asked = "SELECT pg_try_advisory_lock(%s, %s)"
                row = self.conn.execute(asked, [LOCK_CLASS, _small(key)]).fetchone()
                if row is not None and row[0]:
                    self.held.add(key)
            if self.held:
                self.conn.execute("SELECT 1")
        except psycopg.Error:
            self.close()
            raise
        if not wanted:
            self.close()
        return set(self.held)

    def close(self) -> None:
        """Let go of everything."""
        if self.conn is not None:
            self.conn.close()
        self.conn, self.held = None, set()


def _small(key: UUID) -> int:
    return int(key.int & 0x7FFFFFFF)


class Fleet:
    """The deployments of process agents that this host tends."""

    def __init__(self, driver: ProcessDriver, locks: Locks, signals: Signals) -> None:
        self.driver = driver
        self.locks = locks
        self.signals = signals
        self.memories: dict[UUID, Memory] = {}
        self.refused: set[UUID] = set()

    def turn(self) -> int:
        """One round over all deployments; how many this host tends."""
        live = self._live()
        rows = Deployment.objects.filter(driver="process")
        ours = {known.deployment_id for known in self.driver.processes.values()}
        rows = rows.filter(~Q(phase=Phase.RETIRED) | Q(pk__in=live.keys() | ours))
        wanted = {
            row.pk: row for row in rows.select_related("agent", "environment", "target_version")
        }
        own = self.locks.hold(set(wanted))
        self._leave(live, own)
        mine = [wanted[key] for key in own]
        scaled = [row.queue for row in mine if row.autoscale is not None and row.is_live]
        seen = self.signals(scaled) if scaled else {}
        for row in mine:
            try:
                self._tend(row, live.get(row.pk, []), seen.get(row.queue))
            except (psycopg.Error, OSError):
                raise
            except Exception:
                logger.exception("deployment %s cannot be tended", row.pk)
        return len(mine)

    def _live(self) -> dict[UUID, list[Instance]]:
        found: dict[UUID, list[Instance]] = defaultdict(list)
        rows = Instance.objects.live().filter(deployment__driver="process")
        for instance in rows.order_by("started_at"):
            found[instance.deployment_id].append(instance)
        return found

    def _leave(self, live: Mapping[UUID, list[Instance]], own: set[UUID]) -> None:
        """Deployments that another host tends now: what runs of them here is drained."""
        for key, instances in live.items():
            for instance in instances if key not in own else ():
                self.driver.drain(instance, "another host tends this deployment now")

    def _tend(self, row: Deployment, live: list[Instance], waiting: Waiting | None) -> None:
        for instance in live:
            instance.deployment = row
        live = self.driver.ensure(row, live)
        if row.autoscale is not None and row.is_live:
            self._autoscale(row, waiting)
        self.driver.scale(row, live)
        if row.is_live:
            self._judge(row, live)

    # --- scaling by the work there is

    def _autoscale(self, row: Deployment, waiting: Waiting | None) -> None:
        signal = _signal(row, waiting)
        memory = self.memories.setdefault(row.pk, Memory())
        made = decide(signal, bounds_of(row), row.desired, memory, time.monotonic())
        if made.is_refused:
            if row.pk not in self.refused:
                self.refused.add(row.pk)
                self._write(row, made, signal, DeploymentEvent.Kind.HELD)
            return
        self.refused.discard(row.pk)
        if made.desired != row.desired:
            self._write(row, made, signal, DeploymentEvent.Kind.AUTOSCALED)

    @transaction.atomic
    def _write(self, row: Deployment, made: Decision, signal: Signal, kind: str) -> None:
        """The decision and its signal, unless somebody has scaled it meanwhile."""
        before = row.desired
        rows = Deployment.objects.filter(pk=row.pk, generation=row.generation)
        if not rows.update(desired=made.desired, explanation=made.reason[:500]):
            return
        row.desired, row.explanation = made.desired, made.reason[:500]
        facts = {**signal.as_dict(), "before": before, "after": made.desired}
        words = (
            f"{before} → {made.desired}: {made.reason}" if before != made.desired else made.reason
        )
        replicas.tell_scaled(row, kind, words, facts)

    # --- how it stands

    def _judge(self, row: Deployment, live: list[Instance]) -> None:
        trouble = self.driver.trouble.get(row.pk)
        working = [
            each for each in live if each.state in (Instance.State.READY, Instance.State.BUSY)
        ]
        ready = sum(is_fresh(row, each) for each in working)
        taking = [each for each in live if each.state != Instance.State.DRAINING]
        has_old = any(not is_fresh(row, each) for each in taking)
        if ready >= row.desired and not (has_old and row.desired):
            phase, words = Phase.AVAILABLE, f"{ready} of {row.desired} instances are ready."
            if not row.desired:
                words = "Scaled to 0: its steps wait until it is scaled up."
            if trouble is not None and ready:
                trouble.failures = min(trouble.failures, 1)
        elif trouble is not None and trouble.failures >= FAILURES_TO_FAIL:
            phase, words = Phase.FAILED, f"Its instances do not start: {trouble.last}."
        elif row.observed_generation == row.generation:
            lost = f": {trouble.last}" if trouble is not None and trouble.last else ""
            phase, words = Phase.DEGRADED, f"{ready} of {row.desired} instances are ready{lost}."
        else:
            phase, words = Phase.PROGRESSING, f"{ready} of {row.desired} instances are ready."
        if row.observed_generation == row.generation and row.autoscale and phase == row.phase:
            return
        self._stand(row, phase, words)

    @transaction.atomic
    def _stand(self, row: Deployment, phase: str, words: str) -> None:
        """Write the phase where it is another; a version that is available is the live one."""
        is_there = phase == Phase.AVAILABLE
        seen = row.generation if is_there else row.observed_generation
        version = row.target_version_id if is_there and row.desired else row.live_version_id
        now = (phase, words, seen, version)
        if now == (row.phase, row.explanation, row.observed_generation, row.live_version_id):
            return
        rows = Deployment.objects.filter(pk=row.pk, generation=row.generation)
        rows = rows.exclude(phase=Phase.RETIRED)
        if not rows.update(
            phase=phase, explanation=words, observed_generation=seen, live_version_id=version
        ):
            return
        if phase == row.phase and seen == row.observed_generation:
            return
        before, row.phase = row.phase, phase
        note(row, DeploymentEvent.Kind.PHASE, f"{before} → {phase}: {words}")
        data = {
            "deployment": str(row.pk),
            "environment": row.environment.name,
            "version": row.target_version.number,
            "phase": phase,
            "reason": words,
        }
        events.append(row.agent_id, row.project_id, "agent.deployed", data)


def bounds_of(row: Deployment) -> Bounds:
    """What an autoscaled deployment may have, and how it decides."""
    told = {**AUTOSCALE_DEFAULTS, **(row.autoscale or {})}
    return Bounds(
        least=row.replicas_min,
        most=row.replicas_max,
        concurrency=row.concurrency,
        queue_target=float(told["queue_target"]),
        max_age_seconds=float(told["max_age_seconds"]),
        cooldown_seconds=float(told["cooldown_seconds"]),
    )


def _signal(row: Deployment, waiting: Waiting | None) -> Signal:
    """What is seen of a deployment; the model calls are those of its agent anywhere."""
    since = timezone.now() - THROTTLE_WINDOW
    calls = ModelCall.objects.filter(agent_id=row.agent_id, started_at__gte=since).aggregate(
        made=Count("pk"), refused=Count("pk", filter=Q(error_code="rate_limited"))
    )
    return Signal(
        queued=waiting.queued if waiting else 0,
        running=waiting.running if waiting else 0,
        oldest_seconds=waiting.oldest_seconds if waiting else 0.0,
        calls=calls["made"],
        throttled=calls["refused"],
    )

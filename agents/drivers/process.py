"""Instances as worker processes of this host: started, watched, drained, replaced with backoff."""

import logging
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
from django.conf import settings

from agents import instances
from agents.drivers.contract import Starter
from agents.history import DeploymentEvent, note
from agents.models import Deployment, Instance

logger = logging.getLogger(__name__)
Kind = DeploymentEvent.Kind
State = Instance.State
# An instance that ends sooner than this has failed to start.
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
FAILURES_TO_FAIL = 3
READY_WITHIN_SECONDS = 60.0
# Finishing its work before it ends; then it is ended hard, and others go on with the steps.
DRAIN_SECONDS = 600.0
DRAIN_GRACE_SECONDS = 10.0
INSTANCE_BYTES = 120 * 1024 * 1024
KEEP_FREE_BYTES = 256 * 1024 * 1024
LOG_TAIL_BYTES = 256 * 1024
HOST = socket.gethostname()


def pause_before(failures: int) -> float:
    """Seconds before the next start: none after the first end, then 1, 2, 4 … 30."""
    return 0.0 if failures <= 1 else min(LONGEST_PAUSE_SECONDS, 2.0 ** (failures - 2))


def end_of(path: Path, lines: int) -> tuple[list[str], str]:
    """(the last lines of a file, why there are none)."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return [], "Its log is not kept any more."
    return text.splitlines()[-lines:], ""


def read_log(instance: Instance, lines: int) -> tuple[list[str], str]:
    """(the last lines an instance of this host wrote, why there are none)."""
    if instance.host != HOST:
        return [], f"Its log is on the host {instance.host}."
    return end_of(log_path(instance.pk), lines)


def log_path(instance_id: UUID) -> Path:
    """Where an instance of this host writes."""
    return Path(settings.DATA_DIR) / "logs" / f"instance-{instance_id}.log"


@dataclass(slots=True)
class Process:
    """A process of ours: since when it runs and why it is to end."""

    deployment_id: UUID
    pid: int
    started: float
    ending: str = ""
    hard_at: float | None = None


@dataclass(slots=True)
class Trouble:
    """Starts of a deployment that failed in a row, and when the next may be tried."""

    failures: int = 0
    next_at: float = 0.0
    last: str = ""


class ProcessDriver:
    """Worker processes, each bound to the queue and concurrency of its deployment."""

    def __init__(self, starter: Starter) -> None:
        self.starter = starter
        self.processes: dict[UUID, Process] = {}
        # Said to have ended, but the system has not collected them yet.
        self.leaving: set[int] = set()
        self.trouble: dict[UUID, Trouble] = {}

    # --- what has become of them

    def ensure(self, deployment: Deployment, live: list[Instance]) -> list[Instance]:
        """Notice instances that have ended, and adopt those a former fleet left running."""
        self.leaving = {pid for pid in self.leaving if self.starter.status(pid) is None}
        self._look_after(deployment, {each.pk for each in live})
        here = [each for each in live if each.host == HOST]
        found = [each for each in live if each.host != HOST]
        for instance in here:
            known = self.processes.get(instance.pk) or self._adopt(instance)
            if known is None:
                self._lost(deployment, instance, "its process is gone")
            elif (how := self.starter.status(known.pid)) is not None:
                self._ended(deployment, instance, known, how)
            else:
                self._hurry(deployment, instance, known)
                found.append(instance)
        return found

    def _adopt(self, instance: Instance) -> Process | None:
        """The process of an instance that this fleet did not start; None where it is no more."""
        try:
            process = psutil.Process(instance.pid) if instance.pid else None
            began = process.create_time() if process else 0.0
        except psutil.Error:
            return None
        # A process id is used again some day: the times must agree.
        if process is None or abs(began - instance.started_at.timestamp()) > READY_WITHIN_SECONDS:
            return None
        known = Process(instance.deployment_id, instance.pid, time.monotonic() - STEADY_SECONDS)
        self.processes[instance.pk] = known
        return known

    def _ended(self, deployment: Deployment, instance: Instance, known: Process, how: str) -> None:
        """A process has ended: as it was asked to, or not."""
        del self.processes[instance.pk]
        if known.ending and known.hard_at is not None:
            instances.stop(instance.pk)
            self._note(deployment, Kind.INSTANCE_STOPPED, instance, known.ending)
            return
        self._lost(deployment, instance, how, time.monotonic() - known.started)

    def _lost(
        self, deployment: Deployment, instance: Instance, how: str, lived: float = STEADY_SECONDS
    ) -> None:
        trouble = self.trouble.setdefault(deployment.pk, Trouble())
        trouble.failures = 1 if lived >= STEADY_SECONDS else trouble.failures + 1
        pause = pause_before(trouble.failures)
        trouble.next_at, trouble.last = time.monotonic() + pause, how
        instances.bury(instance.pk)
        when = f"replaced in {pause:.0f} s" if pause else "replaced at once"
        wanted = deployment.phase != Deployment.Phase.RETIRED and deployment.desired > 0
        reason = f"{how}; {when}" if wanted else how
        self._note(deployment, Kind.INSTANCE_LOST, instance, reason)

    def _look_after(self, deployment: Deployment, live: set[UUID]) -> None:
        """Instances of ours whose rows are closed: they said that they end, or the sweep called
        them dead because their heart was silent; then what is left of them is ended."""
        mine = [
            key for key, known in self.processes.items() if known.deployment_id == deployment.pk
        ]
        closed = Instance.objects.filter(pk__in=[key for key in mine if key not in live])
        for instance in closed if mine else ():
            known = self.processes.pop(instance.pk)
            self.leaving.add(known.pid)
            if instance.state == State.STOPPED:
                reason = known.ending or "it was told to end from outside"
                self._note(deployment, Kind.INSTANCE_STOPPED, instance, reason)
            else:
                self._signal(known.pid, signal.SIGKILL)
                self._note(deployment, Kind.INSTANCE_LOST, instance, "its heart was silent")

    def _hurry(self, deployment: Deployment, instance: Instance, known: Process) -> None:
        """One that does not get ready, or does not end in time, is ended hard; one that is still
        starting is kept from counting as silent."""
        now = time.monotonic()
        if known.hard_at is not None and now > known.hard_at:
            self._signal(known.pid, signal.SIGKILL)
        elif instance.state == State.STARTING:
            if now - known.started > READY_WITHIN_SECONDS:
                known.ending = ""
                self._signal(known.pid, signal.SIGKILL)
            else:
                instances.still_starting(instance.pk)

    # --- what is done with them

    def scale(self, deployment: Deployment, live: list[Instance]) -> None:
        """Start what is missing; drain what is too many, and the old once the new can do it."""
        working = [each for each in live if each.state != State.DRAINING]
        fresh = [each for each in working if is_fresh(deployment, each)]
        old = [each for each in working if not is_fresh(deployment, each)]
        for _ in range(deployment.desired - len(fresh)):
            if not self._start(deployment):
                break
        surplus = sorted(fresh, key=lambda each: (each.in_flight, -each.started_at.timestamp()))
        for instance in surplus[: max(0, len(fresh) - deployment.desired)]:
            self.drain(instance, f"{deployment.desired} are wanted")
        ready = [each for each in fresh if each.state in (State.READY, State.BUSY)]
        spare = len(ready) + len(old) - deployment.desired
        for instance in old[: max(0, spare)]:
            self.drain(instance, f"version {deployment.target_version.number} takes over")

    def _start(self, deployment: Deployment) -> bool:
        trouble = self.trouble.setdefault(deployment.pk, Trouble())
        if time.monotonic() < trouble.next_at:
            return False
        if self.capacity() < 1:
            trouble.last = "this host has no memory left for another instance"
            return False
        instance = instances.prepare(deployment, host=HOST)
        arguments = ["worker", "--queue", deployment.queue, "--instance", str(instance.pk)]
        arguments += ["--io-slots", str(deployment.concurrency), "--threads", "1"]
        arguments += ["--drain-seconds", str(DRAIN_SECONDS)]
        try:
            pid = self.starter.start(f"instance-{instance.pk}", arguments)
        except OSError as exc:
            instance.delete()
            trouble.failures += 1
            trouble.next_at = time.monotonic() + max(1.0, pause_before(trouble.failures))
            trouble.last = f"it could not be started: {exc}"
            logger.warning("no instance of %s: %s", deployment.pk, exc)
            return False
        instances.has_process(instance.pk, pid)
        self.processes[instance.pk] = Process(deployment.pk, pid, time.monotonic())
        return True

    def drain(self, instance: Instance, reason: str) -> None:
        """Have it take nothing new, finish, and end."""
        known = self.processes.get(instance.pk)
        if known is None or known.ending:
            return
        known.ending = reason
        known.hard_at = time.monotonic() + DRAIN_SECONDS + DRAIN_GRACE_SECONDS
        instances.drain(instance.pk)
        self._signal(known.pid, signal.SIGTERM)
        if instance.deployment is not None:
            self._note(instance.deployment, Kind.INSTANCE_DRAINING, instance, reason)

    def stop(self, instance: Instance, reason: str) -> None:
        """End it hard; the sweep gives its steps to others."""
        if known := self.processes.get(instance.pk):
            known.ending, known.hard_at = reason, time.monotonic()
            self._signal(known.pid, signal.SIGKILL)

    def stop_all(self, seconds: float) -> None:
        """The fleet ends: those that would die with it give their work back first."""
        if self.starter.is_lasting:
            return
        deadline = time.monotonic() + seconds
        for known in self.processes.values():
            self._signal(known.pid, signal.SIGINT)
        left = [known.pid for known in self.processes.values()]
        while left and time.monotonic() < deadline:
            left = [pid for pid in left if self.starter.status(pid) is None]
            time.sleep(0.02)
        for pid in left:
            self._signal(pid, signal.SIGKILL)

    def logs(self, instance: Instance, lines: int) -> tuple[list[str], str]:
        """The end of its log file, if it ran on this host."""
        return read_log(instance, lines)

    def capacity(self) -> int:
        """How many more instances fit into the memory of this host."""
        free = psutil.virtual_memory().available - KEEP_FREE_BYTES
        return max(0, free // INSTANCE_BYTES)

    def _signal(self, pid: int, what: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, what)

    def _note(self, deployment: Deployment, kind: str, instance: Instance, reason: str) -> None:
        facts = {
            "instance": str(instance.pk),
            "host": instance.host,
            "pid": instance.pid,
            "in_flight": instance.in_flight,
        }
        note(deployment, kind, reason, signal=facts)


def is_fresh(deployment: Deployment, instance: Instance) -> bool:
    """Whether it was started for the wanted version and concurrency."""
    return (
        instance.version_id == deployment.target_version_id
        and instance.capacity == deployment.concurrency
    )

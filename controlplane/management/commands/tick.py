"""`manage.py tick`: the ticker. One leader sweeps; the others wait to take over."""

import logging
import signal
import threading
import time
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from agents import instances, watching
from analytics import exports, queries
from controlplane.fleet_thread import FleetLoop
from controlplane.kit import bulk_jobs
from controlplane.kit.database import conninfo
from controlplane.probe_thread import ProbeLoop
from controlplane.retention_thread import RetentionLoop
from governance import approvals
from runs import pull_sweep, questions
from runs.queue_signals import reroute_retired
from runs.sweep import Sweeper

logger = logging.getLogger(__name__)
LEADER_LOCK = 7_310_022
SWEEP_SECONDS = 2.0
TIMER_SECONDS = 0.5
# Every so many sweeps: how agents are, what their instances use, and dropping old samples.
HEALTH_SWEEPS, SAMPLE_SWEEPS, PRUNE_SWEEPS = 2, 5, 900


class Command(BaseCommand):
    """Sweep, timers and doorbells, until SIGTERM."""

    help = __doc__
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Lead while the advisory lock is held; start over when the database went away."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        fleet = FleetLoop() if settings.SPARKOPS_FLEET else None
        if fleet is not None:
            fleet.start()
        retention = RetentionLoop()
        retention.start()
        probes = ProbeLoop()
        if settings.SPARKOPS_PROBE_SECONDS:
            probes.start()
        while not stopping.is_set():
            try:
                with psycopg.connect(conninfo(by_key=True), autocommit=True) as conn:
                    self._lead(conn, stopping)
            except psycopg.Error as exc:
                logger.warning("database away, will try again: %s", exc)
                stopping.wait(0.5)
        retention.stop()
        probes.stop()
        if fleet is not None:
            fleet.stop()

    def _lead(self, conn: psycopg.Connection, stopping: threading.Event) -> None:
        while not stopping.is_set():
            answer = conn.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
            if answer is not None and answer[0]:
                break
            stopping.wait(2)
        sweeper = Sweeper(conn)
        watch = watching.HealthWatch(queries.agent_outcome)
        next_sweep = time.monotonic()
        sweeps = 0
        while not stopping.is_set():
            if time.monotonic() >= next_sweep:
                sweeper.sweep()
                pull_sweep.expire(conn)
                sweeper.ring_waiting()
                self._tend_approvals()
                self._tend_jobs()
                self._tend_agents(sweeper, watch, sweeps)
                sweeps += 1
                next_sweep = time.monotonic() + SWEEP_SECONDS
            due = sweeper.seconds_to_next_timer()
            if due is not None and due <= 0:
                sweeper.wake_due()
            wait = TIMER_SECONDS if due is None else min(max(due, 0.02), TIMER_SECONDS)
            stopping.wait(wait)

    def _tend_approvals(self) -> None:
        """Approvals past their due time, or whose step has ended; Django's connection is given back
        at once."""
        try:
            approvals.expire_due()
            questions.take_back_orphans()
        except DatabaseError as exc:
            logger.warning("approvals not looked at: %s", exc)
        finally:
            connection.close()

    def _tend_jobs(self) -> None:
        """Long work that nobody works on: its worker died, or its doorbell was lost."""
        try:
            bulk_jobs.ring_unfinished()
            exports.tend()
        except DatabaseError as exc:
            logger.warning("long work not looked at: %s", exc)
        finally:
            connection.close()

    def _tend_agents(self, sweeper: Sweeper, watch: watching.HealthWatch, sweeps: int) -> None:
        """How agents are, and what their instances use."""
        buried, sweeper.buried = sweeper.buried, []
        try:
            if buried:
                instances.tell_buried(buried)
            reroute_retired()
            if sweeps % HEALTH_SWEEPS == 0:
                watch.round()
            if sweeps % SAMPLE_SWEEPS == 0:
                watching.take_samples()
            if sweeps % PRUNE_SWEEPS == 0:
                watching.drop_old_samples()
        except DatabaseError as exc:
            logger.warning("agents not looked at: %s", exc)
        except Exception:  # Whatever is wrong with one of them, the sweep goes on.
            logger.exception("agents not looked at")
        finally:
            connection.close()

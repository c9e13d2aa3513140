"""`manage.py tick`: the ticker. One leader sweeps; the others wait to take over."""

import logging
import signal
import threading
import time
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from controlplane.kit import bulk_jobs
from controlplane.kit.database import conninfo
from governance import approvals
from runs import questions
from runs.sweep import Sweeper

logger = logging.getLogger(__name__)
LEADER_LOCK = 7_310_022
SWEEP_SECONDS = 2.0
TIMER_SECONDS = 0.5


class Command(BaseCommand):
    """Sweep, timers and doorbells, until SIGTERM."""

    help = __doc__
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Lead while the advisory lock is held; start over when the database went away."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        while not stopping.is_set():
            try:
                with psycopg.connect(conninfo(by_key=True), autocommit=True) as conn:
                    self._lead(conn, stopping)
            except psycopg.Error as exc:
                logger.warning("database away, will try again: %s", exc)
                stopping.wait(0.5)

    def _lead(self, conn: psycopg.Connection, stopping: threading.Event) -> None:
        while not stopping.is_set():
            answer = conn.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
            if answer is not None and answer[0]:
                break
            stopping.wait(2)
        sweeper = Sweeper(conn)
        next_sweep = time.monotonic()
        while not stopping.is_set():
            if time.monotonic() >= next_sweep:
                sweeper.sweep()
                sweeper.ring_waiting()
                self._tend_approvals()
                self._tend_jobs()
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
        except DatabaseError as exc:
            logger.warning("long work not looked at: %s", exc)
        finally:
            connection.close()

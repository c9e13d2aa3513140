"""The heartbeat of a worker process: says it lives, hears of cancels, finds leases it lost, and
ends steps on threads that overran their time."""

import logging
import os
import threading
import time
from typing import Any
from uuid import UUID

import psutil
import psycopg

from controlplane.kit.json import dumps
from controlplane.kit.storable import problem
from runs import statements as sql
from runs.engine import Engine
from runs.lifecycle import read_rows
from runs.release import give_back
from runs.work import StepWork

logger = logging.getLogger(__name__)
BEAT_SECONDS = 2.0
WATCH_SECONDS = 0.5
# Without a beat for so long the worker starts nothing new, then gives up its leases.
FENCE_SECONDS = 6.0
GIVE_UP_SECONDS = 8.0
LARGEST_SHOWN_BYTES = 1024 * 1024


class Heart:
    """A connection and threads of its own, so that a busy engine still beats."""

    def __init__(self, engine: Engine, instance_id: UUID, conninfo: str) -> None:
        self.engine = engine
        self.instance_id = instance_id
        self.conninfo = conninfo
        self.is_draining = False
        self._conn: psycopg.Connection | None = None
        self._process = psutil.Process(os.getpid())
        self._stopping = threading.Event()
        self._now = threading.Event()
        self._last_success = time.monotonic()
        self._seen: set[UUID] = set()
        self._shown: set[UUID] = set()
        self._threads = [
            threading.Thread(target=self._run, name="heart", daemon=True),
            # Apart, because a beat may hang on a database that does not answer.
            threading.Thread(target=self._watch, name="watch", daemon=True),
        ]

    def start(self) -> None:
        """Beat once at once, then regularly."""
        self._beat()
        for thread in self._threads:
            thread.start()

    def beat_now(self) -> None:
        """Do not wait for the next beat: a run was cancelled."""
        self._now.set()

    def stop(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._now.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(3)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._now.wait(BEAT_SECONDS)
            self._now.clear()
            if not self._stopping.is_set():
                self._try_beat()

    def _try_beat(self) -> None:
        try:
            self._beat()
        except Exception as exc:  # The next one may succeed; a silent heart is noticed below.
            logger.warning("heartbeat failed: %s", exc)
            if self._conn is not None:
                self._conn.close()

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            now = time.monotonic()
            silent = now - self._last_success
            self.engine.is_fenced = silent > FENCE_SECONDS
            for step in list(self.engine.working.values()):
                if silent > GIVE_UP_SECONDS:
                    self.engine.abandon(step)
                elif step.pool != "io" and step.overran(now):
                    self.engine.expire(step)

    def _beat(self) -> None:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self.conninfo, autocommit=True)
        working = dict(self.engine.working)
        params = {
            "id": self.instance_id,
            "in_flight": len(working),
            "draining": self.is_draining,
            "rss": self._process.memory_info().rss,
            "cpu": self._process.cpu_percent(),
        }
        beaten_at = time.monotonic()
        self._conn.execute(sql.BEAT, params)
        held = read_rows(self._conn, sql.HELD_BY_WORKER, [self.instance_id])
        self._last_success = beaten_at
        self._compare(self._conn, working, held)
        self._show_inputs(self._conn, working)

    def _compare(
        self, conn: psycopg.Connection, working: dict[UUID, StepWork], held: list[dict[str, Any]]
    ) -> None:
        leases = {row["id"]: row for row in held}
        for step_id, step in working.items():
            row = leases.get(step_id)
            if row is None or row["lease"] != step.lease:
                # Claimed after the question was asked, or ended meanwhile: then it is not working.
                if self.engine.working.get(step_id) is step and step_id in self._seen:
                    self.engine.abandon(step)
            elif row["is_ending"]:
                self.engine.request_stop(step)
        self._seen = set(working)
        lost = [
            row["id"]
            for row in held
            if row["is_old"] and row["id"] not in working and row["id"] not in self.engine.working
        ]
        if lost:
            logger.warning("leased to this worker but not in hand: %s", lost)
            give_back(conn, self.instance_id, "lease_lost", lost, is_crash=True)

    def _show_inputs(self, conn: psycopg.Connection, working: dict[UUID, StepWork]) -> None:
        """A long step shows its input while it works, not only at its end."""
        showing = {s.id: s for s in working.values() if s.input is not None}
        rows = [
            {"id": s.id, "lease": s.lease, "input": s.input}
            for s in showing.values()
            if s.id not in self._shown and problem(s.input, LARGEST_SHOWN_BYTES) is None
        ]
        if rows:
            conn.execute(sql.SHOW_INPUTS, [dumps(rows).decode()])
        self._shown = set(showing)

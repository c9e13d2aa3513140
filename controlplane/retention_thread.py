"""Retention on a thread of the ticker, so that a long pass keeps no sweep waiting."""

import logging
import threading

import psycopg
from django.db import DatabaseError, connection

from controlplane.kit.database import conninfo
from runs.retention import Pruner

logger = logging.getLogger(__name__)
LOCK = 7_310_031
FIRST_SECONDS, PAUSE_SECONDS = 60.0, 600.0
STOP_SECONDS = 3.0


class RetentionLoop:
    """One pass every ten minutes, by one ticker of all, until it is told to stop."""

    def __init__(self, first_seconds: float = FIRST_SECONDS) -> None:
        self.first_seconds = first_seconds
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="retention", daemon=True)

    def start(self) -> None:
        """On a thread of its own."""
        self.thread.start()

    def run(self) -> None:
        """Pass after pass; between them no connection is held."""
        pause = self.first_seconds
        while not self.stopping.wait(pause):
            pause = PAUSE_SECONDS
            try:
                self.pass_once()
            except (DatabaseError, psycopg.Error) as exc:
                logger.warning("database away, retention will try again: %s", exc)
            except Exception:
                logger.exception("retention stumbled")
            finally:
                connection.close()

    def pass_once(self) -> None:
        """One pass, unless another ticker is at it."""
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            answer = conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
            if answer is None or not answer[0]:
                return
            for project, removed in Pruner(conn, self.stopping).prune().items():
                logger.info("retention of project %s: %s", project, removed)

    def stop(self) -> None:
        """End between two batches."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(STOP_SECONDS)

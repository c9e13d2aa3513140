"""The fleet's loop: on a thread of the ticker on a single host, or in `manage.py fleet`."""

import logging
import threading
import time

import psycopg
from django.db import DatabaseError, connection

from agents.drivers.process import ProcessDriver
from agents.fleet import Fleet, Locks
from controlplane.kit.database import conninfo
from controlplane.processes import starter
from runs.queue_signals import queue_signals

logger = logging.getLogger(__name__)
BUSY_SECONDS = 0.5
IDLE_SECONDS = 2.0
STOP_SECONDS = 6.0


class FleetLoop:
    """Tends the deployments of this host until it is told to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.fleet = Fleet(ProcessDriver(starter()), Locks(conninfo()), queue_signals)
        # Must live as long as the process: spawned children end with the thread that made them.
        self.thread = threading.Thread(target=self.run, name="fleet", daemon=True)

    def start(self) -> None:
        """On a thread of its own."""
        self.thread.start()

    def run(self) -> None:
        """Turn after turn; between them no connection is held but that of the locks."""
        while not self.stopping.is_set():
            pause = IDLE_SECONDS
            try:
                if self.fleet.turn():
                    pause = BUSY_SECONDS
            except (DatabaseError, psycopg.Error) as exc:
                logger.warning("database away, the fleet will try again: %s", exc)
            except Exception:
                logger.exception("the fleet stumbled")
            finally:
                connection.close()
            self.stopping.wait(pause)
        self.fleet.driver.stop_all(STOP_SECONDS)
        self.fleet.locks.close()

    def stop(self) -> None:
        """End, with the instances that depend on this process."""
        self.stopping.set()
        if self.thread.is_alive():
            deadline = time.monotonic() + STOP_SECONDS + 1
            self.thread.join(max(0.0, deadline - time.monotonic()))

"""`manage.py worker`: one worker process. Dramatiq hears the doorbells, the engine works."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import Any
from uuid import UUID

import dramatiq
import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from agents import instances
from analytics import tasks as _exports  # noqa: F401  (its actor is declared)
from controlplane.kit import background
from controlplane.kit import bulk_jobs as _bulk_jobs  # noqa: F401  (its actor is declared)
from controlplane.kit.database import conninfo
from controlplane.supervisor.spawn import die_with_parent
from runs import current, release, tasks
from runs.engine import Engine
from runs.heart import Heart

logger = logging.getLogger(__name__)
IO_SLOTS = 200
# After SIGINT the work in hand has so long to end; the rest is given back.
HURRY_SECONDS = 3.0


def set_all(*flags: threading.Event) -> None:
    """For a handler of signals, which is one call."""
    for flag in flags:
        flag.set()


def drain(engine: Engine, seconds: float, hurry: threading.Event) -> bool:
    """Let the work in hand end, for `seconds` or, once there is hurry, for HURRY_SECONDS."""
    deadline = time.monotonic() + seconds
    is_hurried = False
    while not engine.drain(0.1):
        if hurry.is_set() and not is_hurried:
            is_hurried, deadline = True, min(deadline, time.monotonic() + HURRY_SECONDS)
        if time.monotonic() > deadline:
            return False
    return True


class Command(BaseCommand):
    """Claim and execute the ready steps of one queue until SIGTERM."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The queue is `shared`, or a deployment's; then the fleet has made the instance's row.
        `--parent` is a process to end with."""
        parser.add_argument("--queue", default="shared")
        parser.add_argument("--threads", type=int, default=settings.SPARKOPS_THREADS)
        parser.add_argument("--io-slots", type=int, default=IO_SLOTS)
        parser.add_argument("--drain-seconds", type=float, default=8.0)
        parser.add_argument("--instance", type=UUID, default=None)
        parser.add_argument("--parent", type=int, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop; then drain, give leases back and say goodbye."""
        # Threads that wait for the database must not queue behind ones that compute.
        sys.setswitchinterval(0.0005)
        if options["parent"] is not None:
            die_with_parent(signal.SIGTERM)
            if os.getppid() != options["parent"]:
                return
        stopping, hurry = threading.Event(), threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        signal.signal(signal.SIGINT, lambda *_: set_all(hurry, stopping))
        queue = options["queue"]
        instance_id = options["instance"]
        if instance_id is None:
            instance_id = instances.register(
                host=socket.gethostname(), pid=os.getpid(), queue=queue, capacity=options["threads"]
            )
        elif not instances.begin(instance_id, pid=os.getpid()):
            logger.info("instance %s is not wanted any more", instance_id)
            return
        engine = Engine(
            conninfo=conninfo(by_key=True),
            worker_id=instance_id,
            queue_name=queue,
            threads=options["threads"],
            io_slots=options["io_slots"],
        )
        heart = Heart(engine, instance_id, conninfo(by_key=True))
        current.set_running(engine, heart)
        queues = {queue, tasks.private_queue(instance_id)}
        for name in queues:
            tasks.broker.declare_queue(name)
        engine.start()
        heart.start()
        doorbells = dramatiq.Worker(
            tasks.broker, queues=queues, worker_threads=1, worker_timeout=1_000
        )
        doorbells.start()
        # Long work is done by the workers of the shared queue only.
        long_work = background.start() if queue == "shared" else None
        logger.info("worker %s serves queue %s", instance_id, queue)
        stopping.wait()
        heart.is_draining = True
        background.stopping.set()
        drained = drain(engine, options["drain_seconds"], hurry)
        doorbells.stop(timeout=1_000)
        if long_work is not None:
            long_work.stop(timeout=2_000)
        engine.stop()
        heart.stop()
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            released = release.give_back(conn, instance_id, "released")
        instances.stop(instance_id)
        logger.info("worker stopped: drained %s, released %d leases", drained, released)

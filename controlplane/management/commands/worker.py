"""`manage.py worker`: one worker process. Dramatiq hears the doorbells, the engine works."""

import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

import dramatiq
import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from agents import instances
from analytics import tasks as _exports  # noqa: F401  (its actor is declared)
from controlplane.kit import background
from controlplane.kit import bulk_jobs as _bulk_jobs  # noqa: F401  (its actor is declared)
from controlplane.kit.database import conninfo
from runs import current, release, tasks
from runs.engine import Engine
from runs.heart import Heart

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Claim and execute the ready steps of one queue until SIGTERM."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The queue is `shared`, or a deployment's; its instance row may exist already."""
        parser.add_argument("--queue", default="shared")
        parser.add_argument("--threads", type=int, default=settings.SPARKOPS_THREADS)
        parser.add_argument("--drain-seconds", type=float, default=8.0)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop; then drain, give leases back and say goodbye."""
        # Threads that wait for the database must not queue behind ones that compute.
        sys.setswitchinterval(0.0005)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        queue = options["queue"]
        instance_id = instances.register(
            host=socket.gethostname(), pid=os.getpid(), queue=queue, capacity=options["threads"]
        )
        engine = Engine(
            conninfo=conninfo(by_key=True),
            worker_id=instance_id,
            queue_name=queue,
            threads=options["threads"],
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
        drained = engine.drain(options["drain_seconds"])
        doorbells.stop(timeout=1_000)
        if long_work is not None:
            long_work.stop(timeout=2_000)
        engine.stop()
        heart.stop()
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            released = release.give_back(conn, instance_id, "released")
        instances.stop(instance_id)
        logger.info("worker stopped: drained %s, released %d leases", drained, released)

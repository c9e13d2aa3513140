"""`manage.py instance_lost`: a worker has ended; its steps need not wait for its heartbeat."""

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from agents.models import Instance
from controlplane.kit.database import conninfo
from runs.sweep import Sweeper


class Command(BaseCommand):
    """Called by the supervisor the moment a worker process of its own dies."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The process is known by host and process id, as it registered itself."""
        parser.add_argument("--host", required=True)
        parser.add_argument("--pid", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark the instance dead, then give its steps to others at once."""
        lost = Instance.objects.filter(
            host=options["host"], pid=options["pid"], state__in=Instance.LIVE
        ).update(state=Instance.State.DEAD, stopped_at=timezone.now(), in_flight=0)
        if lost:
            with psycopg.connect(conninfo(by_key=True), autocommit=True) as connection:
                Sweeper(connection).recover_orphans()

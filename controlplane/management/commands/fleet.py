"""`manage.py fleet`: starts, drains and replaces the instances of deployments on this host."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from controlplane.fleet_thread import FleetLoop


class Command(BaseCommand):
    """For hosts without a ticker of their own; set SPARKOPS_FLEET=off where the ticker has none."""

    help = __doc__
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Tend the deployments until SIGTERM."""
        loop = FleetLoop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stopping.set())
        loop.run()

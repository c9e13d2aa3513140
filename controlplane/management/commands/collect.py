"""`manage.py collect`: collects and compresses static files unless that has been done."""

import fcntl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """collectstatic once for each state of the sources; several may be started at a time."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`digest` names the state of the sources, as the supervisor computes it."""
        parser.add_argument("digest")

    def handle(self, *args: Any, **options: Any) -> None:
        """Leave the digest beside the files when they are complete."""
        root = Path(settings.STATIC_ROOT)
        root.mkdir(parents=True, exist_ok=True)
        stamp = root / ".digest"
        with (root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if stamp.exists() and stamp.read_text() == options["digest"]:
                return
            call_command("collectstatic", interactive=False, verbosity=0)
            stamp.write_text(options["digest"])

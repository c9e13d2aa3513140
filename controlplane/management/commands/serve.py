"""`manage.py serve`: the web process, on HOST and PORT or on a socket the supervisor opened."""

import socket
import sys
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Serve pages, API and sockets until SIGTERM."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`--fd` takes over an open listening socket, so that no request is refused meanwhile."""
        parser.add_argument("--fd", type=int, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run uvicorn; a second signal ends open connections at once."""
        config = uvicorn.Config(
            settings.ASGI_APPLICATION.replace(".application", ":application"),
            host=settings.HOST,
            port=settings.PORT,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=1_000_000,
            ws_per_message_deflate=False,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
        )
        # The loop that sends and the threads that answer take turns: not 5 ms each.
        sys.setswitchinterval(0.0005)
        descriptor = options["fd"]
        sockets = None if descriptor is None else [socket.socket(fileno=descriptor)]
        uvicorn.Server(config).run(sockets=sockets)

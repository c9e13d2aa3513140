"""Real web, worker and ticker processes on a fresh database, driven from a test."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg.rows import dict_row

from controlplane.demo import service
from controlplane.supervisor import health, ports, stamps
from controlplane.supervisor.config import ROOT
from controlplane.supervisor.forks import Forks
from controlplane.supervisor.spawn import send
from tests.support.client import Client
from tests.support.servers import CACHE, KEYS, TestPostgres, TestValkey, reap, wait_for


def collected_static(environment: Mapping[str, str]) -> Path:
    """Static files as production has them, collected once per state of the sources, by whichever
    process of the tests comes first."""
    made = CACHE / f"static-{stamps.static_digest()[:16]}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "static.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in CACHE.glob("static-*"):
                shutil.rmtree(old, ignore_errors=True)
            _collect(environment, made)
    return made


def _collect(environment: Mapping[str, str], made: Path) -> None:
    unfinished = CACHE / f"data-{os.getpid()}"
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env={
            **environment,
            "DJANGO_SETTINGS_MODULE": "controlplane.settings",
            "SPARKOPS_DATA_DIR": str(unfinished),
        },
        check=True,
    )
    (unfinished / "static").rename(made)
    shutil.rmtree(unfinished)


class Stack:
    """One running Spark-Ops. `start` brings it up, `stop` ends what is left of it."""

    def __init__(
        self,
        folder: Path,
        postgres: TestPostgres,
        *,
        name: str = "stack",
        workers: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.postgres = postgres
        self.valkey = TestValkey(folder / "redis")
        self.listener = ports.listen(ports.LOOPBACK, 0)
        self.port = self.listener.getsockname()[1]
        self.demo_listener = ports.listen(ports.LOOPBACK, 0)
        self.demo_url = f"http://{ports.LOOPBACK}:{self.demo_listener.getsockname()[1]}"
        self.worker_count = workers
        self.pids: dict[str, int] = {}
        self.database_url = postgres.create_database(f"{name}_{secrets.token_hex(4)}")
        self.environment = {
            **os.environ,
            **KEYS,
            "DJANGO_SETTINGS_MODULE": "controlplane.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.valkey.server.url,
            "HOST": ports.LOOPBACK,
            "PORT": str(self.port),
            "SPARKOPS_DATA_DIR": str(folder),
            "SPARKOPS_EGRESS_ALLOW": self.demo_url.removeprefix("http://"),
            "SPARKOPS_DEMO_MODEL": "off",
            "SPARKOPS_CONTROL_SOCKET": "",
            # Fake servers count what they are asked.
            "SPARKOPS_PROBE_SECONDS": "0",
            "SPARKOPS_RATE": "100000/s",
            "MALLOC_ARENA_MAX": "2",
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """The address of the web process."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The address for sockets."""
        return f"ws://{ports.LOOPBACK}:{self.port}"

    @property
    def redis(self) -> redis.Redis:
        """A client of its Valkey."""
        return redis.Redis.from_url(self.valkey.server.url)

    def start(self) -> "Stack":
        """Start everything and wait until it is ready."""
        (self.folder / "static").symlink_to(collected_static(self.environment))
        self.valkey.start()
        self.demo = service.server(self.demo_listener)
        threading.Thread(target=self.demo.serve_forever, daemon=True).start()
        self.forks = Forks(self.environment, self.folder, self.listener)
        self.pids["template"] = self.forks.start_template()
        self.forks.complete()
        wait_for(self.forks.poll, 60, "loading the application")
        self.start_web()
        for number in range(1, self.worker_count + 1):
            self.start_worker(number)
        self.start_ticker()
        self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until the web process says that it is ready."""
        wait_for(
            lambda: health.status(ports.LOOPBACK, self.port) == 200,
            seconds,
            f"ready (logs in {self.folder})",
        )

    def _start(self, name: str, command: list[str]) -> int:
        self.pids[name] = self.forks.start(name, command)
        return self.pids[name]

    def start_web(self) -> int:
        """Start the web process."""
        return self._start("web", ["serve", "--fd", str(self.listener.fileno())])

    def start_worker(self, number: int = 1) -> int:
        """Start a worker process; answers its process id."""
        return self._start(f"worker-{number}", ["worker"])

    def start_ticker(self) -> int:
        """Start the ticker."""
        return self._start("ticker", ["tick"])

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """End a process by name ("web", "worker-1", "ticker"); answers its exit code."""
        pid = self.pids.pop(name)
        send(pid, how)
        return reap(pid)

    def kill_worker(self, number: int = 1, how: signal.Signals = signal.SIGKILL) -> int:
        """End a worker, by default as hard as can be; nobody tells the engine."""
        return self.kill(f"worker-{number}", how)

    def restart_worker(self, number: int = 1) -> int:
        """End a worker gently and start another."""
        self.kill_worker(number, signal.SIGTERM)
        return self.start_worker(number)

    def report_lost(self, pid: int, *, waits: bool = True) -> None:
        """Tell the engine that a worker is gone, as the supervisor does; like that one, perhaps
        without waiting until its steps are given to others."""
        command = ["instance_lost", "--host", os.uname().nodename, "--pid", str(pid)]
        told = self.forks.start("instance_lost", command)
        if waits:
            reap(told)

    def sql(self, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        """Ask its database directly; rows as dictionaries."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as opened:
            cursor = opened.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *command: str) -> str:
        """Run a manage.py command against it; answers what it printed."""
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def register(self, name: str = "Ana") -> Client:
        """A new user with a project of their own, signed in by token."""
        return Client(self.url).register(name)

    def client(self) -> Client:
        """A stranger."""
        return Client(self.url)

    def logs(self) -> str:
        """The last lines of each log, for a failing test."""
        parts = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            parts.append(f"--- {log.name}\n" + "\n".join(lines))
        return "\n".join(parts)

    def stop(self) -> None:
        """End every process that still runs."""
        names = [name for name in self.pids if name != "template"]
        for name in names:
            send(self.pids[name], signal.SIGTERM)
        for name in names:
            pid = self.pids.pop(name)
            try:
                reap(pid, 12)
            except AssertionError:
                send(pid, signal.SIGKILL)
                reap(pid)
        if "template" in self.pids:
            self.forks.lost()
            reap(self.pids.pop("template"))
        self.valkey.stop()
        self.demo.shutdown()
        self.demo.server_close()
        self.listener.close()

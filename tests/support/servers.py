"""PostgreSQL and Valkey for one test session, from a cached folder that is migrated already."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from controlplane.supervisor import stamps
from controlplane.supervisor.config import ROOT
from controlplane.supervisor.postgres import DATABASE, Postgres
from controlplane.supervisor.spawn import send, spawn
from controlplane.supervisor.valkey import Valkey

CACHE = ROOT / ".test"
# Tests restart servers hard, they do not cut the power: the system's cache is safe enough.
UNSAFE = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1min"}
KEYS = {
    "SPARKOPS_SECRET_KEY": "only-for-tests-" + "0" * 40,
    "SPARKOPS_ENCRYPTION_KEYS": "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",
}


def wait_for(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until `done`; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def crowding() -> float:
    """How many times longer than alone this machine takes just now, 1.0 when it is ours."""
    began, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < 0.3:
        pass
    return (time.perf_counter() - began) / 0.3


def reap(pid: int, seconds: float = 15) -> int:
    """Wait for a process started by `spawn` or a fork; answers its exit code."""
    status: list[int] = []

    def ended() -> bool:
        try:
            done, code = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            done, code = pid, 0
        if done:
            status.append(os.waitstatus_to_exitcode(code))
        return bool(done)

    wait_for(ended, seconds, f"end of process {pid}")
    return status[0]


class TestPostgres:
    """One PostgreSQL in a temporary folder; `durable` keeps fsync on, for benchmarks."""

    __test__ = False

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.server = Postgres(
            folder / "postgres",
            folder,
            folder / "postgres.log",
            settings={} if durable else UNSAFE,
        )
        self.pid: int | None = None

    def start(self) -> None:
        """Start it, with an empty database where there is no data folder yet."""
        if self.server.is_new:
            self.server.initialise()
        self.pid = spawn(self.server.command())
        wait_for(lambda: self.server.refusal() is None, 30, "PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT fast, SIGQUIT like a crash."""
        if self.pid is not None:
            send(self.pid, how)
            reap(self.pid, 30)
            self.pid = None

    def create_database(self, name: str, template: str = DATABASE) -> str:
        """Copy a database; answers the address of the copy."""
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.server.url(name)


class TestValkey:
    """One Valkey in a temporary folder."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.server = Valkey(folder, folder / "valkey.log")
        self.pid: int | None = None

    def start(self) -> None:
        """Start it empty."""
        self.pid = spawn(self.server.command())
        wait_for(lambda: self.server.refusal() is None, 10, "Valkey")

    def stop(self) -> None:
        """End it."""
        if self.pid is not None:
            send(self.pid, signal.SIGTERM)
            reap(self.pid)
            self.pid = None


def _migrate(url: str) -> None:
    """Bring a database to the newest migration in a process of its own."""
    environment = {
        **os.environ,
        **KEYS,
        "DATABASE_URL": url,
        "REDIS_URL": "unix:///nowhere",
        "DJANGO_SETTINGS_MODULE": "controlplane.settings",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
    )


def migrated_data(binaries: Path) -> Path:
    """A stopped data folder with a migrated, empty database, made once per state of the code."""
    version = subprocess.run([binaries / "postgres", "-V"], capture_output=True, text=True).stdout
    state = stamps.state(version)["code"]
    CACHE.mkdir(exist_ok=True)
    cached = CACHE / f"postgres-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.exists():
            with tempfile.TemporaryDirectory(prefix="sparkops-make-") as folder:
                postgres = TestPostgres(Path(folder))
                postgres.start()
                try:
                    _migrate(postgres.server.url())
                finally:
                    postgres.stop()
                unfinished = cached.with_suffix(".new")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(postgres.server.data, unfinished)
                unfinished.rename(cached)
            _forget_old(keep=4)
        os.utime(cached)
    return cached


def _forget_old(keep: int) -> None:
    made = sorted(CACHE.glob("postgres-*"), key=lambda each: each.stat().st_mtime, reverse=True)
    for each in made[keep:]:
        shutil.rmtree(each, ignore_errors=True)


def new_postgres(folder: Path, *, durable: bool = False) -> TestPostgres:
    """A running PostgreSQL whose database `sparkops` is migrated and empty."""
    postgres = TestPostgres(folder, durable=durable)
    shutil.copytree(migrated_data(postgres.server.binaries), postgres.server.data)
    uid = postgres.server.identity.uid
    if uid is not None:
        for path in [postgres.server.data, *postgres.server.data.rglob("*")]:
            os.chown(path, uid, postgres.server.identity.gid or 0)
    postgres.server.data.chmod(0o700)
    postgres.start()
    return postgres

"""The one PostgreSQL and Valkey of this test session, started by the first test that needs them."""

import atexit
import os
import shutil
import signal
import tempfile
from functools import cache
from pathlib import Path

from controlplane.supervisor.postgres import USER
from tests.support.servers import KEYS, TestPostgres, TestValkey, new_postgres

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
UNIT_DATABASE = f"unit{WORKER}"


@cache
def folder() -> Path:
    """A folder of this session, short enough for sockets, gone at its end."""
    made = Path(tempfile.mkdtemp(prefix="sparkops-t-"))
    owner = os.getpid()
    # Forked processes run exit handlers too; the folder is ours alone to remove.
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(made, ignore_errors=True))
    return made


def environment() -> dict[str, str]:
    """What settings need to load; the servers it names need not run yet."""
    host = str(folder() / "pg").replace("/", "%2F")
    return {
        **KEYS,
        "DATABASE_URL": f"postgresql://{USER}@/{UNIT_DATABASE}?host={host}",
        "REDIS_URL": f"unix://{folder() / 'redis' / 'redis.sock'}",
        "SPARKOPS_DATA_DIR": str(folder() / "data"),
        "SPARKOPS_PUBLIC_URL": "",
        "SPARKOPS_EGRESS_ALLOW": "",
        "SPARKOPS_CONTROL_SOCKET": "",
    }


@cache
def postgres() -> TestPostgres:
    """The session's PostgreSQL, migrated, started now if it does not run."""
    started = new_postgres(folder() / "pg")
    started.create_database(UNIT_DATABASE)
    return started


@cache
def valkey() -> TestValkey:
    """The session's Valkey, started now if it does not run."""
    started = TestValkey(folder() / "redis")
    started.start()
    return started


def stop() -> None:
    """End what was started."""
    if postgres.cache_info().currsize:
        postgres().stop(signal.SIGQUIT)  # nothing in it is wanted again
    if valkey.cache_info().currsize:
        valkey().stop()
    if folder.cache_info().currsize:
        shutil.rmtree(folder(), ignore_errors=True)

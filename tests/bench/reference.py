"""What the disk can do in this minute: commits a second of a one-row INSERT, by pgbench."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from controlplane.supervisor.postgres import DATABASE, USER, candidates

SECONDS = 2
TABLE = "CREATE TABLE IF NOT EXISTS bench_reference (id bigserial PRIMARY KEY, at timestamptz)"
INSERT = "INSERT INTO bench_reference (at) VALUES (now());\n"


def _pgbench() -> Path:
    for folder in candidates():
        if (folder / "pgbench").exists():
            return folder / "pgbench"
    raise FileNotFoundError("pgbench is in none of the folders of PostgreSQL's programs")


def commits_per_second(sockets: Path, url: str, clients: int) -> float:
    """Commits a second with so many clients, over two seconds."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(INSERT)
        script.flush()
        done = subprocess.run(
            [
                _pgbench(),
                *("-h", sockets, "-U", USER, "-n", "-M", "prepared", "-f", script.name),
                *("-c", str(clients), "-j", str(min(clients, 2)), "-T", str(SECONDS), DATABASE),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def take(sockets: Path, url: str) -> dict[str, float]:
    """pg1 and pg8."""
    return {f"pg{n}": commits_per_second(sockets, url, n) for n in (1, 8)}

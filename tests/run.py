"""`make test`: runs the parts in order, prints the time of each, fails if one fails."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controlplane.supervisor.config import ROOT
from controlplane.supervisor.postgres import version_of
from tests.support import assets, chromium, locks
from tests.support.servers import KEYS

OLDEST = "15"
TWO_CORES = ("-n", "2", "--dist", "loadfile")
# Where SQL is written by hand; what only the ORM writes is Django's to prove.
OF_SQL = ("runs", "analytics", "governance", "projects", "tests/engine")
PYTEST = [sys.executable, "-m", "pytest", "-q", "--no-header", "--durations=5"]


def say(message: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def environment(**more: str) -> dict[str, str]:
    """Of the tests: no server of the caller's, byte code kept."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, **more}


UNWANTED = {"DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE", "SPARKOPS_DATA_DIR", "PORT"}


def run(*command: str | Path, **more: str) -> bool:
    """Run a command in the root of the project; True when it succeeded."""
    return subprocess.run(command, cwd=ROOT, env=environment(**more)).returncode == 0


def pytest(*arguments: str, **more: str) -> bool:
    """Run pytest; a part without tests yet has nothing that could fail."""
    code = subprocess.run([*PYTEST, *arguments], cwd=ROOT, env=environment(**more)).returncode
    return code in {0, 5}


def tool(name: str) -> Path:
    """A program of the virtual environment."""
    return Path(sys.executable).with_name(name)


def lint() -> bool:
    """Ruff's rules and format, types of the floor and of the services."""
    settings = {**KEYS, "DATABASE_URL": "postgresql:///none", "REDIS_URL": "unix:///none"}
    checks = [
        run(tool("ruff"), "check", "."),
        run(tool("ruff"), "format", "--check", "--output-format=concise", "."),
    ]
    checks.append(run(tool("mypy"), **settings))
    return all(checks)


def _report(faults: list[str]) -> bool:
    for fault in faults:
        say(fault)
    return not faults


def checksums() -> bool:
    """Vendored files are what their list says, locks hold what is pinned."""
    return _report(assets.faults() + locks.misfits())


def check() -> bool:
    """The same, asking the package index, and that no migration is missing."""
    settings = {**KEYS, "DATABASE_URL": "postgresql:///none", "REDIS_URL": "unix:///none"}
    stale = [f"{name} is not what make lock writes" for name in locks.stale()]
    migrations = run(sys.executable, "manage.py", "makemigrations", "--check", **settings)
    return _report(assets.faults() + locks.misfits() + stale) and migrations


def unit() -> bool:
    """Everything without a mark: a process for each of two cores, each with a database of its
    own."""
    marks = "not (contract or platform or browser or chaos or scale)"
    return pytest(*TWO_CORES, "-m", marks)


def contract() -> bool:
    """The outside, by HTTP and sockets, against real processes."""
    return pytest(*TWO_CORES, "-m", "contract and not scale")


def platform() -> bool:
    """make up and its supervisor."""
    return pytest(*TWO_CORES, "-m", "platform and not long")


def oldest_postgres() -> Path | None:
    """The programs of PostgreSQL 15 if they are here: SPARKOPS_TEST_PG, on PATH, or Debian's."""
    named, on_path = os.environ.get("SPARKOPS_TEST_PG"), shutil.which("postgres")
    places = [Path(named)] if named else []
    places += [Path(on_path).resolve().parent] if on_path else []
    places.append(Path(f"/usr/lib/postgresql/{OLDEST}/bin"))
    return next((each for each in places if named or version_of(each) == OLDEST), None)


def postgres_15() -> bool:
    """What talks to the database, once more on the oldest PostgreSQL we support."""
    binaries = oldest_postgres()
    if binaries is None:
        say(f"PostgreSQL {OLDEST} is not here (SPARKOPS_TEST_PG names its bin folder): left out")
        return True
    marks = "not (contract or platform or browser or chaos or scale or long)"
    return pytest(
        *TWO_CORES, "--database-only", "-m", marks, *OF_SQL, SPARKOPS_POSTGRES_BIN=str(binaries)
    )


def browser() -> bool:
    """Pages in a real Chromium."""
    try:
        return pytest(*TWO_CORES, "-m", "browser and not scale", CHROMIUM=chromium.get())
    except chromium.NoChromiumError as error:
        say(str(error))
        return False


def chaos() -> bool:
    """The short fault tests."""
    return pytest(*TWO_CORES, "-m", "chaos and not long")


def chaos_long() -> bool:
    """The whole fault suite."""
    return pytest("-m", "chaos", "--timeout=1800", "-s")


def scale() -> bool:
    """A million rows, big runs, every page in every look, every corner of the API's document."""
    try:
        return pytest("-m", "scale", "--timeout=3600", "-s", CHROMIUM=chromium.get())
    except chromium.NoChromiumError as error:
        say(str(error))
        return False


@dataclass(frozen=True)
class Part:
    """One part of the tests."""

    name: str
    work: Callable[[], bool]
    usual: bool = True


PARTS = [
    Part("lint", lint),
    Part("assets", checksums),
    Part("unit", unit),
    Part("contract", contract),
    Part("platform", platform),
    Part("postgres-15", postgres_15),
    Part("browser", browser),
    Part("chaos", chaos),
    Part("chaos-long", chaos_long, usual=False),
    Part("scale", scale, usual=False),
    Part("check", check, usual=False),
]


def main(names: list[str]) -> int:
    """Run the named parts, or the usual ones; 1 if one of them failed."""
    known = {part.name for part in PARTS}
    if unknown := set(names) - known:
        say(f"No such part: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
        return 2
    chosen = [part for part in PARTS if (part.name in names if names else part.usual)]
    results: list[tuple[Part, bool, float]] = []
    for part in chosen:
        say(f"\n=== {part.name}")
        began = time.monotonic()
        passed = part.work()
        results.append((part, passed, time.monotonic() - began))
        say(f"=== {part.name}: {'passed' if passed else 'FAILED'} in {results[-1][2]:.1f} s")
    say("")
    for part, passed, seconds in results:
        say(f"{part.name:12} {'passed' if passed else 'FAILED'} {seconds:7.1f} s")
    failed = [part.name for part, passed, _ in results if not passed]
    total = sum(seconds for _, _, seconds in results)
    say(f"{'all':12} {'FAILED: ' + ', '.join(failed) if failed else 'passed'} {total:7.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make test`: runs the parts, as many processes at a time as the machine has room for; prints the
time of each, fails if one fails."""

import configparser
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.supervisor.config import ROOT
from controlplane.supervisor.postgres import version_of
from tests.support import assets, chromium, locks
from tests.support.servers import KEYS

OLDEST = "15"
# Where SQL is written by hand; what only the ORM writes is Django's to prove.
OF_SQL = ("runs", "analytics", "governance", "projects")
PYTEST = [sys.executable, "-m", "pytest", "-q", "--no-header", "--durations=5"]
UNWANTED = {"DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE", "SPARKOPS_DATA_DIR", "PORT"}
# Together they execute the engine's statements; what else its tests show depends on no version.
ENGINE_SQL = ("bodies", "checkable", "children", "fork", "freezing", "limits", "logs", "plans",
              "queues", "reconcile", "retention", "retry", "undoing")  # fmt: skip
# One more than there are cores: a test of real processes waits for them a third of its time.
AT_ONCE = (os.cpu_count() or 1) + 1
_OUTPUT = threading.Lock()


def say(message: str) -> None:
    """A line or more, at once and together."""
    with _OUTPUT:
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()


def environment(**more: str) -> dict[str, str]:
    """Of the tests: no server of the caller's, byte code kept."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, **more}


@dataclass(frozen=True)
class Job:
    """One process of a part, or one `check` in ours, which answers with faults. Where several run,
    what each says is shown at its end."""

    name: str
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    check: Callable[[], Iterable[str]] | None = None
    good: tuple[int, ...] = (0,)

    def run(self, *, alone: bool) -> tuple[bool, str]:
        """(whether it passed, what it said)."""
        if self.check is not None:
            faults = "\n".join(self.check())
            return not faults, faults
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=environment(**self.environment),
            stdout=None if alone else subprocess.PIPE,
            stderr=None if alone else subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return done.returncode in self.good, (done.stdout or "").strip()


def pytest(name: str, marks: str, *arguments: str, **more: str) -> Job:
    """Tests with these marks; what holds none of them has nothing that could fail."""
    return Job(name, [*PYTEST, "-m", marks, *arguments], more, good=(0, 5))


def shared_out(part: str, marks: str, paths: list[str], *groups: int, **more: str) -> list[Job]:
    """A job for each group of `paths`, of which the numbers say how many it has; the last job has
    all that are left."""
    jobs, left = [], list(paths)
    for count in [*groups, len(paths)]:
        taken, left = left[:count], left[count:]
        if taken:
            name = " ".join(Path(path).stem.removeprefix("test_") for path in taken)
            jobs.append(pytest(f"{part} ({name})", marks, *taken, **more))
    return jobs


def marked(mark: str, *first: str) -> list[str]:
    """The files with a test of this mark, those named before the others."""
    known = set(first)
    found = [
        str(file.relative_to(ROOT))
        for file in sorted(ROOT.glob("[!.]*/**/test_*.py"))
        if f"mark.{mark}" in file.read_text()
    ]
    return [*first, *(path for path in found if path not in known)]


def tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(Path(sys.executable).with_name(name))


NOWHERE = {**KEYS, "DATABASE_URL": "postgresql:///none", "REDIS_URL": "unix:///none"}


def lint() -> list[Job]:
    """Ruff's rules and format, types of the floor and of the services."""
    return [
        Job("lint (types)", [tool("mypy")], NOWHERE),
        Job("lint (rules)", [tool("ruff"), "check", "."]),
        Job("lint (format)", [tool("ruff"), "format", "--check", "--output-format=concise", "."]),
    ]


def checksums() -> list[Job]:
    """Vendored files are what their list says, locks hold what is pinned."""
    return [Job("assets", check=lambda: assets.faults() + locks.misfits())]


def check() -> list[Job]:
    """The same, asking the package index, and that no migration is missing."""
    migrations = [sys.executable, "manage.py", "makemigrations", "--check"]

    def stale() -> list[str]:
        return [f"{name} is not what make lock writes" for name in locks.stale()]

    return [
        *checksums(),
        Job("check (locks)", check=stale),
        Job("check (migrations)", migrations, NOWHERE),
    ]


def unit() -> list[Job]:
    """Everything without a mark."""
    marks = "not (contract or platform or browser or chaos or scale or quiet)"
    permissions = "tests/test_permissions.py"
    engine = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("tests/engine/test_*.py"))
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "pytest.ini")
    groups = {
        "permissions": [permissions],
        "engine, one half": engine[::2],
        "engine, the other": engine[1::2],
        "registries": ["agents", "tools", "workflows"],
        "floor": ["controlplane", "projects"],
        "whole": ["tests", "--ignore=tests/engine", f"--ignore={permissions}"],
    }
    named = {path for paths in groups.values() for path in paths}
    groups["rest"] = [path for path in settings["pytest"]["testpaths"].split() if path not in named]
    return [pytest(f"unit ({name})", marks, *paths) for name, paths in groups.items()]


def contract() -> list[Job]:
    """The outside, by HTTP and sockets, against real processes."""
    paths = marked("contract", "tests/contract/test_schema.py")
    return shared_out("contract", "contract and not scale", paths, 1)


def platform() -> list[Job]:
    """make up and its supervisor."""
    first = [f"tests/platform/test_{name}.py" for name in ("stop", "start", "fleet")]
    paths = marked("platform", *first)
    return shared_out("platform", "platform and not long", paths, 1, 1, 1)


def oldest_postgres() -> Path | None:
    """The programs of PostgreSQL 15 if they are here: SPARKOPS_TEST_PG, on PATH, or Debian's."""
    named, on_path = os.environ.get("SPARKOPS_TEST_PG"), shutil.which("postgres")
    places = [Path(named)] if named else []
    places += [Path(on_path).resolve().parent] if on_path else []
    places.append(Path(f"/usr/lib/postgresql/{OLDEST}/bin"))
    return next((each for each in places if named or version_of(each) == OLDEST), None)


def postgres_15() -> list[Job]:
    """What talks to the database, once more on the oldest PostgreSQL we support."""
    binaries = oldest_postgres()
    if binaries is None:
        say(f"PostgreSQL {OLDEST} is not here (SPARKOPS_TEST_PG names its bin folder): left out")
        return []
    marks = "not (contract or platform or browser or chaos or scale or quiet or long)"
    more = {"SPARKOPS_POSTGRES_BIN": str(binaries)}
    engine = [f"tests/engine/test_{name}.py" for name in ENGINE_SQL]
    return [
        pytest("postgres-15 (engine)", marks, "--database-only", *engine, **more),
        pytest("postgres-15 (apps)", marks, "--database-only", *OF_SQL, **more),
    ]


def without_chromium(error: chromium.NoChromiumError) -> list[Job]:
    """A job that fails with the reason."""
    reason = str(error)
    return [Job("browser", check=lambda: [reason])]


def browser() -> list[Job]:
    """Pages in a real Chromium."""
    try:
        path = chromium.get()
    except chromium.NoChromiumError as error:
        return without_chromium(error)
    first = [f"tests/browser/test_{name}.py" for name in ("lists", "accessibility")]
    paths = marked("browser", *first)
    return shared_out("browser", "browser and not scale", paths, 1, 1, CHROMIUM=path)


def chaos() -> list[Job]:
    """The short fault tests."""
    paths = marked("chaos", "tests/chaos/test_workers.py")
    return shared_out("chaos", "chaos and not long", paths, 1)


def quiet() -> list[Job]:
    """What counts calls a second, or commits of the whole server."""
    return [pytest("quiet", "quiet", *marked("quiet"))]


def chaos_long() -> list[Job]:
    """The whole fault suite."""
    return [pytest("chaos-long", "chaos", "--timeout=1800", "-s")]


def scale() -> list[Job]:
    """A million rows, big runs, every page in every look, every corner of the API's document."""
    try:
        return [pytest("scale", "scale", "--timeout=3600", "-s", CHROMIUM=chromium.get())]
    except chromium.NoChromiumError as error:
        return without_chromium(error)


@dataclass(frozen=True)
class Part:
    """One part of the tests."""

    name: str
    jobs: Callable[[], list[Job]]
    usual: bool = True
    # Its jobs run one by one, when nothing else does.
    alone: bool = False


# What takes long begins first, so that nothing long is left over at the end.
PARTS = [
    Part("lint", lint),
    Part("assets", checksums),
    Part("unit", unit),
    Part("platform", platform),
    Part("browser", browser),
    Part("chaos", chaos),
    Part("contract", contract),
    Part("postgres-15", postgres_15),
    Part("quiet", quiet, alone=True),
    Part("chaos-long", chaos_long, usual=False),
    Part("scale", scale, usual=False),
    Part("check", check, usual=False),
]


def run(jobs: list[tuple[Part, Job]]) -> list[tuple[Part, bool, float]]:
    """Run them side by side, those that need quiet after them; (part, whether it passed, seconds)
    of each."""
    is_only = len(jobs) == 1

    def one(part: Part, job: Job) -> tuple[Part, bool, float]:
        began = time.monotonic()
        passed, said = job.run(alone=is_only)
        seconds = time.monotonic() - began
        verdict = "passed" if passed else "FAILED"
        say(f"\n=== {job.name}: {verdict} in {seconds:.1f} s\n{said}".rstrip())
        return part, passed, seconds

    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = [pool.submit(one, *each) for each in jobs if not each[0].alone]
        done = [each.result() for each in together]
    return done + [one(*each) for each in jobs if each[0].alone]


def main(names: list[str]) -> int:
    """Run the named parts, or the usual ones; 1 if one of them failed."""
    known = {part.name for part in PARTS}
    if unknown := set(names) - known:
        say(f"No such part: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
        return 2
    began = time.monotonic()
    chosen = [part for part in PARTS if (part.name in names if names else part.usual)]
    results = run([(part, job) for part in chosen for job in part.jobs()])
    say(f"\nSeconds of each part's processes, of which up to {AT_ONCE} ran side by side:")
    failed = []
    for part in chosen:
        own = [each for each in results if each[0] is part]
        passed = all(good for _, good, _ in own)
        failed += [] if passed else [part.name]
        seconds = sum(took for _, _, took in own)
        say(f"{part.name:12} {'passed' if passed else 'FAILED'} {seconds:7.1f} s")
    total = time.monotonic() - began
    say(f"{'all':12} {'FAILED: ' + ', '.join(failed) if failed else 'passed'} {total:7.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The lock files: `python -m tests.support.locks` writes them anew; tests ask whether they fit."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from controlplane.supervisor.config import ROOT

UV = Path(sys.executable).with_name("uv")
COMPILE = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
COMPILE += ["--custom-compile-command", "make lock"]
LOCKS: dict[str, list[str]] = {
    "requirements": [],
    "requirements-dev": ["-c", "requirements.lock"],
    "requirements-llm": ["--no-deps"],
    "requirements-installer": [],
}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def compile_lock(name: str, target: Path) -> None:
    """Resolve one requirements file into a lock; versions the target pins already stay."""
    subprocess.run(
        [UV, "pip", "compile", *COMPILE, *LOCKS[name], f"{name}.txt", "-o", target],
        cwd=ROOT,
        check=True,
    )


def write_all() -> None:
    """Write every lock file anew."""
    for name in LOCKS:
        compile_lock(name, ROOT / f"{name}.lock")


def stale() -> list[str]:
    """The locks that a new resolution would change; asks the package index."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in LOCKS:
            lock, again = ROOT / f"{name}.lock", Path(folder) / f"{name}.lock"
            again.write_text(lock.read_text())
            compile_lock(name, again)
            if again.read_text() != lock.read_text():
                found.append(lock.name)
    return found


def _pins(text: str) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in PIN.findall(text)}


def misfits() -> list[str]:
    """Top-level pins that are missing from their lock or differ there; asks nobody."""
    found = []
    for name in LOCKS:
        wanted = _pins((ROOT / f"{name}.txt").read_text())
        locked = _pins((ROOT / f"{name}.lock").read_text())
        found += [
            f"{name}.lock has {locked.get(each)} for {each}=={version}"
            for each, version in wanted.items()
            if locked.get(each) != version
        ]
    return found


if __name__ == "__main__":
    write_all()

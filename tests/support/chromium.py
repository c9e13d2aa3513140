"""Finds a Chromium for the browser tests, or gets one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No sandbox: root and containers have none. No process that imitates a graphics card, nor one that
# waits for crashes: they only cost time. The rest keeps it from calling out.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-crash-reporter",
    "--disable-background-networking",
    "--disable-quic",
]
SENTENCE = (
    "No Chromium for the browser tests: set CHROMIUM to one, install the package chromium, or "
    "let `.venv/bin/playwright install --with-deps chromium` download it."
)


class NoChromiumError(Exception):
    """None is to be had; the message is a sentence."""


def _of_playwright() -> Path | None:
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright"
    found = sorted(Path(folder).glob("chromium-*/chrome-linux*/chrome"))
    return found[-1] if found else None


def find() -> str | None:
    """The path of a Chromium that is here: CHROMIUM, on PATH, or downloaded by Playwright."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not shutil.which(named):
            raise NoChromiumError(f"CHROMIUM names {named}, which cannot be run.")
        return shutil.which(named)
    for name in NAMES:
        if path := shutil.which(name):
            return path
    downloaded = _of_playwright()
    return str(downloaded) if downloaded else None


def _run(*command: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0
    except OSError:
        return False


def get() -> str:
    """Find a Chromium or install one; NoChromiumError where neither is possible."""
    if path := find():
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
        if path := find():
            return path
    _run(sys.executable, "-m", "playwright", "install", "chromium")
    if path := find():
        return path
    raise NoChromiumError(SENTENCE)

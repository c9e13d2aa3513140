"""Knows by hashes whether this data folder has been prepared for this code already."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from controlplane.supervisor.config import ROOT

NAME = "prepared.json"


def _digest(files: Iterable[Path], *words: str) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _in_packages(pattern: str) -> list[Path]:
    """Files of our own packages; data folders, .venv and node_modules are none."""
    packages = [folder.parent for folder in ROOT.glob("[a-z]*/__init__.py")]
    return [file for package in packages for file in package.glob(pattern) if file.is_file()]


def static_digest() -> str:
    """Changes when a static file of ours or of a library may have changed."""
    ours = [file for file in (ROOT / "static").rglob("*") if file.is_file()]
    return _digest([ROOT / "requirements.lock", *ours, *_in_packages("static/**/*")])


def state(*words: str) -> dict[str, str]:
    """What a preparation depends on: migrations, libraries, static files and `words`."""
    files = [ROOT / "requirements.lock", *_in_packages("migrations/*.py")]
    files += _in_packages("*/migrations/*.py") + _in_packages("management/commands/seed_demo.py")
    return {"code": _digest(files, *words), "static": static_digest()}


def is_prepared(data_dir: Path, wanted: dict[str, str]) -> bool:
    """Whether the last finished preparation was for exactly this state."""
    try:
        return bool(json.loads((data_dir / NAME).read_text()) == wanted)
    except (OSError, ValueError):
        return False


def forget(data_dir: Path) -> None:
    """The database is new: whatever was prepared is gone."""
    (data_dir / NAME).unlink(missing_ok=True)


def remember(data_dir: Path, done: dict[str, str]) -> None:
    """Note a finished preparation."""
    (data_dir / NAME).write_text(json.dumps(done))

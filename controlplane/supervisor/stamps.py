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


def static_digest() -> str:
    """Changes when a static file of ours or of a library may have changed."""
    files = [ROOT / "requirements.lock"]
    for folder in [ROOT / "static", *ROOT.glob("*/static"), *ROOT.glob("*/*/static")]:
        files += [file for file in folder.rglob("*") if file.is_file()]
    return _digest(files)


def state(*words: str) -> dict[str, str]:
    """What a preparation depends on: migrations, libraries, static files and `words`."""
    files = [ROOT / "requirements.lock", *ROOT.glob("*/migrations/*.py")]
    files += [*ROOT.glob("*/*/migrations/*.py"), *ROOT.glob("*/management/commands/seed_demo.py")]
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

"""The keys of an instance and the demo password: made once, kept in the data folder, mode 0600."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from controlplane.supervisor.config import StartError

NAME = "secrets.json"


@dataclass(frozen=True)
class Secrets:
    """What must survive a restart and be known to nobody else."""

    secret_key: str
    encryption_keys: str
    demo_password: str


def _generate() -> Secrets:
    return Secrets(
        secret_key=secrets.token_urlsafe(48),
        encryption_keys=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        demo_password=secrets.token_urlsafe(12),
    )


def load(data_dir: Path) -> Secrets:
    """Read the secrets of a data folder, or make them where there are none yet."""
    path = data_dir / NAME
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(_generate()), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    try:
        return Secrets(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        raise StartError(
            f"{path} cannot be read: put back the file from a backup. Without its keys the "
            "stored secrets cannot be decrypted; removing it starts with new keys."
        ) from None

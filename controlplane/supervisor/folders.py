"""The folders of one instance: its data, and a short one of its own for sockets."""

import fcntl
import hashlib
import os
import stat
import tempfile
from io import TextIOWrapper
from pathlib import Path

from controlplane.supervisor.config import StartError


def prepare_data_dir(data_dir: Path) -> None:
    """Create the data folder and its log folder, open to us alone."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
        if not os.access(data_dir, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        reason = (error.strerror or "unusable").lower()
        raise StartError(f"The data folder {data_dir} cannot be used: {reason}.") from None


def lock_data_dir(data_dir: Path) -> TextIOWrapper:
    """Hold the data folder for this supervisor; the lock ends with the process."""
    handle = (data_dir / "supervisor.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        raise StartError(
            f"Spark-Ops is already running on the data folder {data_dir} (process {holder}); "
            "stop it, or set SPARKOPS_DATA_DIR and PORT for a second instance."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def socket_dir(data_dir: Path) -> Path:
    """A short folder for the sockets of this data folder, ours alone.

    A socket path over 107 bytes is refused by the system, so it cannot lie in the data folder.
    """
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"sparkops-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to somebody else: remove it, or set TMPDIR.")
    folder.chmod(0o700)
    return folder

"""The children's log files: last words for messages, and a bound on their size."""

import shutil
from pathlib import Path

LARGEST_BYTES = 20_000_000


def size(log: Path) -> int:
    """Bytes in a log, 0 where it does not exist."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_words(log: Path, since: int = 0) -> str:
    """The last line a process wrote after byte `since`, without Django's prefix."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, size(log) - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    written = [line for line in lines if line]
    return written[-1].removeprefix("CommandError: ") if written else ""


def trim(folder: Path) -> None:
    """Move what a log holds into <name>.1 when it has grown large; writers append and go on."""
    for log in folder.glob("*.log"):
        if size(log) > LARGEST_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            with log.open("r+b") as file:
                file.truncate(0)

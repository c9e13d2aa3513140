"""How instances come to be processes of this host: forked by the supervisor, which then looks after
them, or, where there is none, started singly and ending with whoever started them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from agents.drivers.contract import Starter
from controlplane.supervisor.control import ask
from controlplane.supervisor.spawn import is_alive

MANAGE = Path(settings.BASE_DIR) / "manage.py"


def starter() -> Starter:
    """The way of this process: by its supervisor, if it has one."""
    if settings.SPARKOPS_CONTROL_SOCKET:
        return Starter(_fork, _forked_status, is_lasting=True)
    return Starter(_spawn, _spawned_status, is_lasting=False)


def _fork(name: str, arguments: list[str]) -> int:
    """Ask the supervisor for a fork of the loaded application; it shares its memory and starts in
    milliseconds. OSError where it says no."""
    request = json.dumps({"name": name, "command": arguments})
    answer = ask(Path(settings.SPARKOPS_CONTROL_SOCKET), f"instance {request}", seconds=15)
    word, _, rest = answer.partition(" ")
    if word != "started" or not rest.isdigit():
        raise OSError(rest or "the supervisor gave no answer")
    return int(rest)


def _forked_status(pid: int) -> str | None:
    # The supervisor has the exit status.
    return None if is_alive(pid) else "its process ended"


def _spawn(name: str, arguments: list[str]) -> int:
    folder = Path(settings.DATA_DIR) / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), *arguments, "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    process.returncode = 0  # Its end is collected below, not by subprocess.
    return process.pid


def _spawned_status(pid: int) -> str | None:
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None if is_alive(pid) else "its process ended"
    if found == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with status {code}"

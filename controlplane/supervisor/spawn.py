"""Starts processes that die with their parent; what we ask of the kernel stands here."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
IS_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """As whom a command runs: behind `prefix`, or as another user of the system."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None


OURSELVES = Identity()


@dataclass
class Command:
    """A program to run: what, with which environment, as whom, and how it dies with us."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    identity: Identity = OURSELVES
    death_signal: signal.Signals = signal.SIGTERM
    pass_fds: tuple[int, ...] = field(default=())


def plain_environment(**more: str) -> dict[str, str]:
    """An environment without keys and addresses, for programs that need none of them."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def die_with_parent(death_signal: signal.Signals) -> None:
    """Ask the kernel to send `death_signal` to this process when its parent ends (Linux only)."""
    if IS_LINUX:
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends; False where unsupported."""
    return IS_LINUX and _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def name_process(name: str) -> None:
    """Show `name` (at most 15 bytes) in process lists."""
    if IS_LINUX:
        _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def spawn(command: Command) -> int:
    """Start a command in a session of its own, output to its log; answers its process id.

    The caller reaps by os.waitpid; subprocess must therefore never wait for it.
    """

    def prepare() -> None:
        die_with_parent(command.death_signal)

    with command.log.open("ab") as log:
        process = subprocess.Popen(
            [*command.identity.prefix, *command.argv],
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=command.identity.uid,
            group=command.identity.gid,
            extra_groups=None if command.identity.uid is None else [],
            pass_fds=command.pass_fds,
            preexec_fn=prepare,
        )
    process.returncode = 0  # keeps subprocess from collecting the exit status we wait for
    return process.pid


def is_alive(pid: int) -> bool:
    """Whether a process exists that is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not IS_LINUX


def send(pid: int, what: signal.Signals) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def descendants() -> list[int]:
    """The direct children of this process by the kernel (Linux), adopted orphans included."""
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in task.read_text().split()]
        except OSError:
            continue
    return found

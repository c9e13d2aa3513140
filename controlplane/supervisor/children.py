"""One child process each: started, watched, started again with growing pauses, stopped."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from controlplane.supervisor.spawn import is_alive, send

STEADY_AFTER_SECONDS = 30
LONGEST_PAUSE_SECONDS = 30
# What was killed from outside is not known to be broken: it comes back soon, however often.
LONGEST_PAUSE_AFTER_KILL_SECONDS = 1.0


def pause_before(failures: int) -> float:
    """Seconds to wait before the next start: none after the first end, then 1, 2, 4 … 30."""
    if failures <= 1:
        return 0.0
    return float(min(LONGEST_PAUSE_SECONDS, 2 ** (failures - 2)))


def ending(status: int) -> str:
    """How a process ended, in words, from its negative signal number or exit status."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


@dataclass
class Child:
    """A process that should run. `start` answers its process id; `died` hears of its end."""

    name: str
    start: Callable[[], int]
    say: Callable[[str], None]
    died: Callable[["Child", int], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    pid: int | None = None
    wanted: bool = False
    failures: int = 0
    restarts: int = -1
    started_at: float = 0.0
    start_at: float = 0.0
    is_fork: bool = False

    @property
    def is_due(self) -> bool:
        """Whether it waits for its next start."""
        return self.wanted and self.pid is None

    def want(self) -> None:
        """Let it run from now on; the next `tend` starts it."""
        self.wanted = True
        self.start_at = time.monotonic()

    def tend(self) -> None:
        """Start it if that is due."""
        now = time.monotonic()
        if not self.is_due or now < self.start_at:
            return
        self.pid = self.start()
        self.started_at = now
        self.restarts += 1
        self.say(f"{self.name} started (process {self.pid})")

    def ended(self, status: int) -> None:
        """Take note of its end and plan the next start."""
        now = time.monotonic()
        pid, self.pid = self.pid, None
        if not self.wanted:
            return
        self.failures = 1 if now - self.started_at > STEADY_AFTER_SECONDS else self.failures + 1
        pause = pause_before(self.failures)
        if status == -signal.SIGKILL:
            pause = min(pause, LONGEST_PAUSE_AFTER_KILL_SECONDS)
        self.start_at = now + pause
        when = f"in {pause:.0f} s" if pause else "now"
        self.say(f"{self.name} (process {pid}) {ending(status)}; starting it again {when}")
        if self.died and pid is not None:
            self.died(self, pid)

    def stop(self, what: signal.Signals | None = None) -> None:
        """Ask it to end, and do not start it again."""
        self.wanted = False
        if self.pid is not None:
            send(self.pid, what or self.stop_signal)


@dataclass
class Server(Child):
    """A server that may run already when we come: then its end is found by looking."""

    is_foreign: bool = False

    def adopt(self, pid: int) -> None:
        """Go on with a process somebody else has started."""
        self.pid = pid
        self.is_foreign = True
        self.started_at = time.monotonic()
        self.restarts += 1

    def look(self) -> None:
        """Notice its end; from then on it is an ordinary child."""
        if self.is_foreign and self.pid is not None and not is_alive(self.pid):
            self.is_foreign = False
            self.ended(0)

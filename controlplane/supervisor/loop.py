"""The supervisor's loop: one thread that hears signals and sockets, reaps and starts."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, DefaultSelector

from controlplane.supervisor.children import Child, Server
from controlplane.supervisor.config import StartError

LONGEST_TURN_SECONDS = 1.0
PAUSE_WITHOUT_TEMPLATE_SECONDS = 0.2


class StopRequested(Exception):
    """A signal asked for the end while something was being waited for."""


class Loop:
    """Children in the order of their start, and what has been heard about them.

    `can_start` says whether a child may be started now; `exited` hears of every process that ends.
    """

    def __init__(
        self, can_start: Callable[[Child], bool], exited: Callable[[int, int], None]
    ) -> None:
        self.children: list[Child] = []
        self.can_start = can_start
        self.exited = exited
        self.awaited: dict[int, int | None] = {}
        self.stop_signals = 0
        self.selector = DefaultSelector()
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self.wakeup = (reader, writer)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self.selector.register(reader, EVENT_READ, lambda: reader.recv(4096))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, self._stop_asked)
        signal.signal(signal.SIGTERM, self._stop_asked)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
            signal.signal(signal.SIGHUP, self._stop_asked)

    def _stop_asked(self, *_: object) -> None:
        self.stop_signals += 1

    def add(self, child: Child) -> Child:
        """Take in a child and let it run."""
        self.children.append(child)
        child.want()
        return child

    def turn(self, seconds: float | None = None) -> None:
        """Hear and reap, then start what is due; waits at most `seconds`."""
        for key, _ in self.selector.select(self._until_due() if seconds is None else seconds):
            key.data()
        self.reap()
        if self.stop_signals:
            return
        for child in self.children:
            if not self.can_start(child):
                continue
            try:
                child.tend()
            except OSError:  # the template is just ending; it is started again first
                child.start_at = time.monotonic() + PAUSE_WITHOUT_TEMPLATE_SECONDS

    def _until_due(self) -> float:
        now = time.monotonic()
        waits = [child.start_at - now for child in self.children if child.is_due]
        return max(0.02, min([LONGEST_TURN_SECONDS, *waits]))

    def reap(self) -> None:
        """Take note of every process that has ended."""
        for child in self.children:
            if isinstance(child, Server):
                child.look()
        for pid, code in self._ended():
            if pid in self.awaited:
                self.awaited[pid] = code
            self.exited(pid, code)
            for child in self.children:
                if child.pid == pid:
                    child.ended(code)

    def _ended(self) -> Iterator[tuple[int, int]]:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)

    def until(
        self, done: Callable[[], bool], seconds: float, sentence: str, check: Callable[[], None]
    ) -> None:
        """Turn until `done`; StartError with `sentence` when that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.stop_signals:
                raise StopRequested
            if time.monotonic() > deadline:
                raise StartError(sentence)
            check()
            self.turn(0.02)

    def end(self, children: list[Child], seconds: float, at_last: signal.Signals) -> list[Child]:
        """Stop children together; those that take longer get `at_last` and are answered."""
        for child in children:
            child.stop()
        signals, deadline = self.stop_signals, time.monotonic() + seconds
        while any(child.pid is not None for child in children) and time.monotonic() < deadline:
            self.reap()
            select.select([self.wakeup[0]], [], [], 0.02)
            if self.stop_signals > signals + 1:  # asked again: hurry
                break
        late = [child for child in children if child.pid is not None]
        for child in late:
            child.stop(at_last)
        return late

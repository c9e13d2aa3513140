"""A worker process: registers, leases, works on threads, renews, and ends in good order."""

import logging
import os
import platform
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sparkops_worker.protocol import Api, ApiError, Registration
from sparkops_worker.tasks import Answer, Task, TaskFailed, make_task

logger = logging.getLogger("sparkops_worker")
Handler = Callable[[Task], Answer]
WORKER_OVER = "worker_stopped"
LONGEST_PAUSE_SECONDS = 10.0
# A lease with less left than this is renewed at the next beat.
RENEW_SECONDS = 15.0


class Worker:
    """Works on the tasks of one agent in one environment, `capacity` of them at once."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        agent: str,
        environment: str,
        capacity: int = 1,
        name: str = "",
        poll_seconds: float = 0.5,
        drain_seconds: float = 30.0,
    ) -> None:
        self.api = Api(url, token)
        self.agent, self.environment = agent, environment
        self.capacity = capacity
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.poll_seconds, self.drain_seconds = poll_seconds, drain_seconds
        self.tasks: dict[str, Task] = {}
        self.stopping = threading.Event()
        self._draining = False
        self._registration: Registration | None = None
        self._lock = threading.Lock()
        self._renewed: dict[str, float] = {}

    # --- life

    def run(self, handler: Handler) -> None:
        """Work until SIGTERM or SIGINT (where this is the main thread) or `stop()`."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())
        self._register()
        heart = threading.Thread(target=self._beat, name="heart", daemon=True)
        heart.start()
        with ThreadPoolExecutor(self.capacity, thread_name_prefix="task") as pool:
            while not self.stopping.is_set():
                taken = self._take()
                for task in taken:
                    pool.submit(self._work, handler, task)
                if not taken:
                    self.stopping.wait(self.poll_seconds)
            self._finish()
        self._goodbye()

    def stop(self) -> None:
        """Take nothing new, let work in hand end, and return from `run`."""
        self.stopping.set()

    @property
    def id(self) -> str:
        """The worker's id, once it has registered."""
        if self._registration is None:
            raise RuntimeError("This worker has not registered yet.")
        return self._registration.id

    def _register(self) -> None:
        pause = 0.5
        about = {"python": platform.python_version(), "pid": os.getpid()}
        while not self.stopping.is_set():
            try:
                self._registration = self.api.register(
                    agent=self.agent,
                    environment=self.environment,
                    name=self.name,
                    capacity=self.capacity,
                    about=about,
                )
            except ApiError as exc:
                if not exc.is_passing:
                    raise
                logger.warning("not registered, will try again: %s", exc)
                self.stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                logger.info("registered as %s", self.id)
                return

    def _finish(self) -> None:
        deadline = time.monotonic() + self.drain_seconds
        while self.tasks and time.monotonic() < deadline:
            time.sleep(0.05)
        for task in list(self.tasks.values()):
            task.cancelled.set()

    def _goodbye(self) -> None:
        if self._registration is not None:
            try:
                self.api.leave(self.id)
            except ApiError as exc:
                logger.warning("goodbye was not heard: %s", exc)

    # --- tasks

    def _take(self) -> list[Task]:
        free = self.capacity - len(self.tasks)
        if free <= 0 or self._draining:
            return []
        try:
            found = self.api.lease(self.id, free)
        except ApiError as exc:
            self._misheard(exc)
            return []
        taken = [make_task(told, self._write) for told in found]
        with self._lock:
            for task in taken:
                self.tasks[task.lease] = task
                self._renewed[task.lease] = time.monotonic()
        return taken

    def _work(self, handler: Handler, task: Task) -> None:
        failure: TaskFailed | None = None
        answer = Answer()
        try:
            answer = handler(task)
        except TaskFailed as exc:
            failure = exc
        except Exception as exc:
            logger.exception("task %s failed", task.step)
            failure = TaskFailed(f"{type(exc).__name__}: {exc}", code="handler_error")
        try:
            if failure is None:
                self._tell(task, self.api.complete, answer.as_dict())
            else:
                self._tell(task, self.api.fail, failure.as_dict())
        finally:
            with self._lock:
                self.tasks.pop(task.lease, None)
                self._renewed.pop(task.lease, None)

    def _tell(
        self, task: Task, say: Callable[[str, str, dict[str, Any]], None], what: dict[str, Any]
    ) -> None:
        """Say how a task ended, again while the server is away and the lease may hold."""
        pause = 0.2
        while not task.cancelled.is_set():
            try:
                say(self.id, task.lease, what)
            except ApiError as exc:
                if exc.status == 422:
                    failure = TaskFailed(exc.message, code="answer_invalid", retryable=False)
                    say, what = self.api.fail, failure.as_dict()
                elif not exc.is_passing:
                    logger.warning("the end of task %s was refused: %s", task.step, exc)
                    return
                task.cancelled.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                return

    def _write(self, lease: str, level: str, message: str, data: Any) -> None:
        try:
            self.api.report(self.id, lease, level, message, data)
        except ApiError as exc:
            logger.warning("a log line was lost: %s", exc)

    # --- the heart

    def _beat(self) -> None:
        registration = self._registration
        while registration is not None and not (self.stopping.is_set() and not self.tasks):
            try:
                told = self.api.heartbeat(self.id, rss_bytes=_memory())
            except ApiError as exc:
                self._misheard(exc)
            else:
                self._draining = bool(told["drain"])
                held, cancelled = set(told["leases"]), set(told["cancelled"])
                for lease, task in list(self.tasks.items()):
                    is_old = time.monotonic() - self._renewed.get(lease, 0) > 3
                    if lease in cancelled or (lease not in held and is_old):
                        task.cancelled.set()
            self._renew()
            time.sleep(registration.heartbeat_seconds)

    def _renew(self) -> None:
        """Hold on to what is in hand, well before it runs out."""
        for lease, task in list(self.tasks.items()):
            if task.cancelled.is_set() or _seconds_until(task.expires_at) > RENEW_SECONDS:
                continue
            try:
                told = self.api.renew(self.id, lease)
            except ApiError as exc:
                if not exc.is_passing:
                    task.cancelled.set()
            else:
                task.expires_at = told["expires_at"]
                self._renewed[lease] = time.monotonic()
                if told["cancelled"]:
                    task.cancelled.set()

    def _misheard(self, exc: ApiError) -> None:
        """A refusal that is no passing trouble: a worker that is over comes again."""
        if exc.code == WORKER_OVER and not self.stopping.is_set():
            for task in list(self.tasks.values()):
                task.cancelled.set()
            self._register()
        elif not exc.is_passing:
            logger.error("the server refuses this worker: %s", exc)
            self.stopping.wait(1)
        else:
            logger.warning("the server is away: %s", exc)
            self.stopping.wait(0.5)


def _seconds_until(moment: str) -> float:
    until = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return (until - datetime.now(UTC)).total_seconds()


def _memory() -> int:
    """The most memory this process has used, in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024

"""The supervisor: starts everything in order, keeps it running, and ends it cleanly."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping

from controlplane.supervisor import health, logs, stamps
from controlplane.supervisor.children import Child, Server, ending
from controlplane.supervisor.config import ROOT, Config, StartError
from controlplane.supervisor.control import Control, Reply, as_line
from controlplane.supervisor.forks import Forks
from controlplane.supervisor.loop import Loop, StopRequested
from controlplane.supervisor.model import Model
from controlplane.supervisor.postgres import Postgres
from controlplane.supervisor.spawn import (
    Command,
    descendants,
    plain_environment,
    send,
    spawn,
)
from controlplane.supervisor.surroundings import DEMO_EMAIL, survey
from controlplane.supervisor.valkey import Valkey

APPLICATION_STOPS_WITHIN_SECONDS = 9
SERVERS_STOP_WITHIN_SECONDS = 4
READY_WITHIN_SECONDS = 60
SERVER_ANSWERS_WITHIN_SECONDS = 60
PREPARED_WITHIN_SECONDS = 600
FAILURES_BEFORE_READY = 3
TRIM_EVERY_SECONDS = 60


def say(message: str) -> None:
    """One line for the terminal, at once; a terminal that is gone does not matter."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()


class Supervisor:
    """One start of Spark-Ops on this machine."""

    def __init__(self, config: Config) -> None:
        self.began = time.monotonic()
        self.config = config
        self.is_ready = False
        self.lost_workers: list[int] = []
        self.loop = Loop(self._can_start, self._exited)
        self.place = survey(config)
        self.forks = Forks(self.place.environment(), config.logs, self.place.listener)
        self.model = Model(
            file=self.place.model_file,
            port=self.place.model_port,
            log=config.logs / "model.log",
            selector=self.loop.selector,
            say=say,
        )
        self.control = Control(
            self.place.control_socket,
            self.loop.selector,
            {"start model": self.model.requested, "status": self._tell_status},
            {"instance": self._start_instance},
        )

    def _can_start(self, child: Child) -> bool:
        return not child.is_fork or self.forks.poll()

    def _exited(self, pid: int, _: int) -> None:
        if pid == self.model.pid:
            self.model.ended()
        if pid == self.forks.pid:
            self.forks.lost()

    def _until(self, done: Callable[[], bool], seconds: float, sentence: str) -> None:
        self.loop.until(done, seconds, sentence, self._check_starts)

    def _check_starts(self) -> None:
        """Before everything is ready, a child that keeps ending is a reason to give up."""
        for child in self.loop.children:
            if child.failures >= FAILURES_BEFORE_READY:
                log = self.config.logs / f"{child.name}.log"
                raise StartError(f"{child.name} does not start: {logs.last_words(log)} ({log})")

    # --- the start ----------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up in order; returns when the web process says that it is ready."""
        if self.place.postgres:
            self._start_postgres(self.place.postgres)
        if self.place.valkey:
            command = self.place.valkey.command
            self.loop.add(Child("valkey", lambda: spawn(command()), say))
        if self.forks.can_fork:
            self.loop.add(Child("template", self.forks.start_template, lambda _: None))
        if self.place.demo_socket:
            self.loop.add(Child("demo", self._start_demo, say))
        for name, server in (("PostgreSQL", self.place.postgres), ("Valkey", self.place.valkey)):
            if server:
                self._until_answers(name, server)
        self._until_loaded()
        self._prepare()
        self.forks.complete()
        self._fork("web", ["serve", "--fd", str(self.place.listener.fileno())])
        for number in range(1, self.config.workers + 1):
            self._fork(f"worker-{number}", ["worker"], died=self._worker_died)
        self._fork("ticker", ["tick"])
        address = (self.config.local_host, self.config.port)
        self._until(
            lambda: health.status(*address) == 200,
            READY_WITHIN_SECONDS,
            f"The web process does not become ready; see {self.config.logs / 'web.log'}.",
        )
        self.is_ready = True

    def _until_answers(self, name: str, server: Postgres | Valkey) -> None:
        sentence = f"{name} does not answer; see {server.log}."
        self._until(lambda: server.refusal() is None, SERVER_ANSWERS_WITHIN_SECONDS, sentence)

    def _start_postgres(self, postgres: Postgres) -> None:
        """Make the data folder if there is none, adopt a server that still runs, or start one."""
        server = Server("postgres", lambda: spawn(postgres.command()), say)
        server.stop_signal = signal.SIGINT
        left_over = postgres.left_over()
        if left_over is not None and postgres.refusal() is not None:
            send(left_over, signal.SIGINT)
            self._until(
                lambda: postgres.left_over() is None,
                SERVER_ANSWERS_WITHIN_SECONDS,
                f"PostgreSQL (process {left_over}) still uses the data folder and does not end.",
            )
            left_over = None
        if postgres.is_new:
            say("Creating the database")
            postgres.initialise()
            stamps.forget(self.config.data_dir)
        self.loop.add(server)
        if left_over is not None:
            server.adopt(left_over)
            say(f"postgres was still running (process {left_over}), going on with it")

    def _until_loaded(self) -> None:
        sentence = f"The application was not loaded in time; see {self.config.logs}."
        self._until(self.forks.poll, READY_WITHIN_SECONDS, sentence)

    def _prepare(self) -> None:
        """Migrate, collect and seed unless exactly this has been done for this data folder."""
        config = self.config
        wanted = stamps.state(self.place.demo_url, sys.executable, str(ROOT))
        if not config.database_url and stamps.is_prepared(config.data_dir, wanted):
            return
        say("Preparing the database and the static files")
        demo = {
            "SPARKOPS_DEMO_EMAIL": DEMO_EMAIL,
            "SPARKOPS_DEMO_PASSWORD": self.place.secrets.demo_password,
        }
        collected = self._once("collect", ["collect", wanted["static"]])
        prepared = self._once("prepare", ["prepare", *(["--demo"] if config.demo else [])], demo)
        prepared()
        collected()
        stamps.remember(config.data_dir, wanted)

    def _once(
        self, name: str, command: list[str], extra: Mapping[str, str] | None = None
    ) -> Callable[[], None]:
        """Start a command that does one thing; the answer waits for it and fails with its words."""
        log = self.config.logs / f"{name}.log"
        before, awaited = logs.size(log), self.loop.awaited
        pid = self.forks.start(name, command, extra)
        awaited[pid] = None

        def finish() -> None:
            sentence = f"{name} takes too long; see {log}."
            self._until(lambda: awaited[pid] is not None, PREPARED_WITHIN_SECONDS, sentence)
            status = awaited.pop(pid)
            if status:
                words = logs.last_words(log, before)
                raise StartError(words or f"{name} {ending(status)}; see {log}.")

        return finish

    def _fork(
        self, name: str, command: list[str], died: Callable[[Child, int], None] | None = None
    ) -> None:
        child = Child(name, lambda: self.forks.start(name, command), say, died, is_fork=True)
        self.loop.add(child)

    def _start_demo(self) -> int:
        service = self.place.demo_socket
        if service is None:
            raise OSError("The demo service has no address.")
        return spawn(
            Command(
                argv=[sys.executable, "-m", "controlplane.demo.service", str(service.fileno())],
                environment=plain_environment(PYTHONPATH=str(ROOT)),
                log=self.config.logs / "demo.log",
                pass_fds=(service.fileno(),),
            )
        )

    # --- while it runs ------------------------------------------------------------------------

    def _worker_died(self, _: Child, pid: int) -> None:
        self.lost_workers.append(pid)

    def _report_lost_worker(self) -> None:
        """Tell the engine at once, so that it need not wait for heartbeats to stay away."""
        if self.lost_workers and self.forks.poll():
            pid = self.lost_workers.pop()
            command = ["instance_lost", "--host", socket.gethostname(), "--pid", str(pid)]
            try:
                self.forks.start("instance_lost", command)
            except OSError:
                self.lost_workers.append(pid)

    def _start_instance(self, rest: str, reply: Reply) -> None:
        """Fork an instance for the fleet. It is watched there; here it is only ended with us."""
        try:
            asked = json.loads(rest)
            name, command = str(asked["name"]), [str(word) for word in asked["command"]]
        except (ValueError, KeyError, TypeError):
            return reply("error this is no instance")
        if command[:1] != ["worker"] or not re.fullmatch(r"instance-[0-9a-f-]{36}", name):
            return reply("error only instances can be started")
        if not self.is_ready or self.loop.stop_signals or not self.forks.poll():
            return reply("error the supervisor is busy, try again")
        try:
            pid = self.forks.start(name, command)
        except OSError as error:
            return reply(f"error {error}")
        child = Child(name, lambda: pid, lambda _: None, pid=pid, stop_signal=signal.SIGINT)
        child.restarts = 0
        self.loop.children = [
            each for each in self.loop.children if each.pid or not each.name.startswith("instance-")
        ]
        self.loop.children.append(child)
        return reply(f"started {pid}")

    def _tell_status(self, reply: Reply) -> None:
        """What runs, for tests, the benchmark and people with a question."""
        processes = {
            child.name: {"pid": child.pid, "restarts": child.restarts}
            for child in self.loop.children
        }
        processes["model"] = {"pid": self.model.pid, "restarts": 0}
        processes["supervisor"] = {"pid": os.getpid(), "restarts": 0}
        reply(as_line({"ready": self.is_ready, "processes": processes}))

    def stop(self) -> None:
        """End the application first, then the servers under it; nothing stays behind."""
        self.control.close()
        if self.model.pid is not None:
            send(self.model.pid, signal.SIGTERM)
        servers = [child for child in self.loop.children if child.name in {"postgres", "valkey"}]
        others = [child for child in self.loop.children if child not in servers]
        late = self.loop.end(others, APPLICATION_STOPS_WITHIN_SECONDS, signal.SIGKILL)
        late += self.loop.end(servers, SERVERS_STOP_WITHIN_SECONDS, signal.SIGQUIT)
        for child in late:
            say(f"{child.name} did not end in time and was ended hard")
        for pid in descendants():
            send(pid, signal.SIGKILL)
        self.loop.reap()
        shutil.rmtree(self.place.sockets, ignore_errors=True)

    def run(self) -> int:
        """Start, announce, watch until asked to stop; the exit status of the command."""
        status = 0
        try:
            self.start()
            self._announce()
            self._watch()
        except StopRequested:
            status = 1
        except StartError as error:
            say(str(error))
            status = 1
        say("Stopping")
        self.stop()
        return status

    def _watch(self) -> None:
        trimmed_at = 0.0
        while not self.loop.stop_signals:
            self.loop.turn()
            self.model.tend()
            self._report_lost_worker()
            if time.monotonic() - trimmed_at > TRIM_EVERY_SECONDS:
                trimmed_at = time.monotonic()
                logs.trim(self.config.logs)

    def _announce(self) -> None:
        say(f"Spark-Ops is ready at {self.config.address} ({time.monotonic() - self.began:.1f} s)")
        if self.config.demo:
            password = self.place.secrets.demo_password
            say(f"Sign in as {DEMO_EMAIL} with the password {password}")

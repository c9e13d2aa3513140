"""Engines, heart and ticker inside the test's own process, on the session's PostgreSQL."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from agents.models import Instance
from controlplane.kit.database import conninfo
from controlplane.kit.models import Event
from projects.models import Project
from projects.people import User
from runs import release, services
from runs.engine import Engine
from runs.heart import Heart
from runs.models import Run, Step
from runs.starting import StartRequest
from runs.states import RUN_TERMINAL
from runs.sweep import Sweeper
from tests.engine.invariants import assert_invariants
from workflows.models import Workflow


class Worker:
    """One engine with its heart, rung every few milliseconds instead of by Redis."""

    def __init__(self, *, threads: int = 4, io_slots: int = 20, beats: bool = True) -> None:
        self.instance = Instance.objects.create(
            host="test", pid=os.getpid(), capacity=threads, state=Instance.State.READY
        )
        self.engine = Engine(
            conninfo=conninfo(),
            worker_id=self.instance.pk,
            queue_name="shared",
            threads=threads,
            io_slots=io_slots,
        )
        self.heart = Heart(self.engine, self.instance.pk, conninfo())
        self.is_stopped = False
        self.engine.start()
        if beats:
            self.heart.start()

    def stop(self) -> None:
        """As the worker command does on SIGTERM, without waiting for the work in hand."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self.engine.drain(0)
        # A claim under way on a busy machine must not take steps of the next test.
        self.engine.stop(60)
        self.heart.stop()
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            release.give_back(conn, self.instance.pk, "released")


class House:
    """A project with workers and a ticker; starts runs and waits for them."""

    sweeper_class = Sweeper

    def __init__(self, project: Project, user: User, makers: dict[str, Callable[..., Any]]) -> None:
        self.project, self.user, self.makers = project, user, makers
        self.workers: list[Worker] = []
        self.tools: set[str] = set()
        self._slugs = 0
        self.has_bells = self.has_ticker = self.tolerates_outages = False
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    # Processes

    def worker(self, *, bells: bool = True, **options: Any) -> Worker:
        """One more worker."""
        self.workers.append(Worker(**options))
        if bells and not self.has_bells:
            self.has_bells = True
            self._background(self._bells)
        return self.workers[-1]

    def ticker(self) -> None:
        """Sweep ten times a second."""
        if not self.has_ticker:
            self.has_ticker = True
            self._background(self._sweeps)

    def _background(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _bells(self) -> None:
        while not self._ending.wait(0.01):
            for worker in self.workers:
                worker.engine.wake()

    def _sweeps(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(conninfo(), autocommit=True) as conn:
                    sweeper = self.sweeper_class(conn)
                    while not self._ending.wait(0.1):
                        sweeper.sweep()
            except psycopg.OperationalError as exc:
                if not self.tolerates_outages:
                    self.errors.append(exc)
            except BaseException as exc:
                self.errors.append(exc)
                return

    def stop(self) -> None:
        """End everything."""
        self._ending.set()
        for thread in self._threads:
            thread.join(10)
        for worker in self.workers:
            worker.stop()
        # What is left over is nothing for the workers of the next test.
        Run.objects.filter(project=self.project).exclude(status__in=RUN_TERMINAL).delete()

    # Work

    def tool(self, slug: str, function: str | None = None, **fields: Any) -> None:
        """A tool of the project; by default of the function of the same name."""
        if slug not in self.tools:
            self.tools.add(slug)
            config = {"function": function or slug}
            self.makers["tool"](slug=slug, config=config, **fields)

    def workflow(self, definition: dict[str, Any]) -> Workflow:
        """A released workflow; its tools are made where they are missing."""
        self._tools_of(definition)
        self._slugs += 1
        return self.makers["workflow"](slug=f"w{self._slugs}", definition=definition)

    def _tools_of(self, part: dict[str, Any]) -> None:
        for node in part["nodes"]:
            if node["kind"] == "tool":
                self.tool(node["tool"])
            elif "body" in node:
                self._tools_of(node["body"])

    def request(self, what: Workflow | dict[str, Any], **fields: Any) -> StartRequest:
        """What `start` takes, in dev."""
        workflow = self.workflow(what) if isinstance(what, dict) else what
        environment = self.project.environments.get(name="dev")
        return StartRequest(workflow=workflow, environment=environment, **fields)

    def start(self, what: Workflow | dict[str, Any], **fields: Any) -> Run:
        """Start a run."""
        return services.start(self.request(what, **fields), actor=self.user)[0]

    def run(self, what: Workflow | dict[str, Any], **fields: Any) -> Run:
        """Start a run with one worker and a ticker, and wait for its end."""
        if not self.workers:
            self.worker()
        self.ticker()
        run = self.start(what, **fields)
        return self.ended(run)

    def ended(self, *runs: Run, seconds: float = 60) -> Run:
        """Wait for the end of runs, check the invariants; answers the first as it is now."""
        ids = [run.pk for run in runs]
        self.until(
            lambda: not Run.objects.filter(pk__in=ids).exclude(status__in=RUN_TERMINAL).exists(),
            seconds,
            lambda: f"runs have not ended: {self.tell(ids)}",
        )
        self.check(ids)
        return Run.objects.get(pk=ids[0])

    def rests(self, run: Run, status: str, seconds: float = 40) -> Run:
        """Wait until a run has a status; answers it."""
        self.until(
            lambda: Run.objects.filter(pk=run.pk, status=status).exists(),
            seconds,
            lambda: f"not {status}: {self.tell([run.pk])}",
        )
        return Run.objects.get(pk=run.pk)

    def stands(self, run: Run, node: str, status: str, seconds: float = 40) -> Step:
        """Wait until a step has a status; answers it."""
        self.until(
            lambda: Step.objects.filter(run=run, node=node, status=status).exists(),
            seconds,
            lambda: f"{node} not {status}: {self.tell([run.pk])}",
        )
        return Step.objects.get(run=run, node=node)

    def until(
        self, done: Callable[[], bool], seconds: float, what: Callable[[], str] | str
    ) -> None:
        """Poll."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.errors:
                raise AssertionError("the ticker died") from self.errors[0]
            if time.monotonic() > deadline:
                raise AssertionError(what if isinstance(what, str) else what())
            time.sleep(0.005)

    def check(self, ids: Iterable[UUID] | None = None) -> None:
        """No invariant is broken."""
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            assert_invariants(conn, ids)

    def tell(self, ids: Iterable[UUID]) -> str:
        """Runs and their steps, for a failing test."""
        lines = []
        for run in Run.objects.filter(pk__in=ids).exclude(status__in=RUN_TERMINAL)[:3]:
            lines.append(f"{run.status} {run.reason} open={run.open_steps} busy={run.busy_steps}")
            for step in Step.objects.filter(run=run)[:30]:
                lines.append(f"  {step.node} {step.status} {step.reason} {step.error}")
        return "\n".join(lines)

    @staticmethod
    def steps(run: Run) -> dict[str, Step]:
        """Steps by node."""
        return {step.node: step for step in Step.objects.filter(run=run)}

    @staticmethod
    def statuses(run: Run) -> dict[str, str]:
        """Status by node."""
        return dict(Step.objects.filter(run=run).values_list("node", "status"))

    @staticmethod
    def events(run: Run) -> list[tuple[str, str | None]]:
        """(type, node) of every event in order."""
        return [
            (event.type, event.data.get("node"))
            for event in Event.objects.filter(subject_id=run.pk).order_by("seq")
        ]

    @staticmethod
    def close() -> None:
        """Give the connection of this thread back; for threads of tests."""
        connection.close()


def chain(count: int, tool: str = "noop", **node: Any) -> dict[str, Any]:
    """A definition of `count` steps in a row."""
    return {
        "nodes": [
            {"id": f"s{n}", "kind": "tool", "tool": tool, "arguments": {"n": n}, **node}
            for n in range(count)
        ],
        "edges": [{"from": f"s{n}", "to": f"s{n + 1}"} for n in range(count - 1)],
    }


def graph(nodes: dict[str, dict[str, Any]], *edges: str, **rest: Any) -> dict[str, Any]:
    """A definition from nodes by id (transform unless told otherwise) and edges "a>b" or
    "a>b:condition"."""
    found = []
    for edge in edges:
        ends, _, when = edge.partition(":")
        source, target = ends.split(">")
        found.append({"from": source, "to": target, **({"when": when} if when else {})})
    return {
        "nodes": [
            {"id": node_id, **({"kind": "transform", "set": {}} | fields)}
            if "kind" not in fields
            else {"id": node_id, **fields}
            for node_id, fields in nodes.items()
        ],
        "edges": found,
        **rest,
    }


def call(tool: str, **fields: Any) -> dict[str, Any]:
    """A tool node; `arguments` by keyword, fields of the node among them by their names."""
    own = ("retry", "timeout_seconds", "on_error", "join", "name_")
    node = {"kind": "tool", "tool": tool}
    node |= {k.rstrip("_"): v for k, v in fields.items() if k in own}
    return {**node, "arguments": {k: v for k, v in fields.items() if k not in own}}

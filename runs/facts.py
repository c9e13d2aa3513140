"""What a worker remembers: facts of runs, compiled graphs, outputs of ended steps. All of it is
immutable once written, so remembering is safe; each memory is bounded."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import args_row, class_row

from controlplane.kit.database import cursor_of
from runs import statements as sql
from runs.advance import Key
from runs.lifecycle import LockedRun, StepRow, read_rows
from runs.states import STEP_TERMINAL
from workflows.graph import Graph, compile_cached

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """The values put last, at most `size` of them. Looking a value up does not keep it longer: keys
    are UUIDs, whose hashing is what this costs."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._items: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        return self._items.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember a value, forgetting the oldest beyond the size."""
        self._items[key] = value
        if len(self._items) > self.size:
            del self._items[next(iter(self._items))]

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        self._items.pop(key, None)


@dataclass(slots=True)
class RunFacts:
    """What does not change while a run lives."""

    id: UUID
    project_id: UUID
    workflow_id: UUID
    version_id: UUID
    input: Any
    pins: dict[str, Any]
    trigger: str
    priority: int
    tags: list[str]
    root_id: UUID
    parent_id: UUID | None
    simulated: bool
    created_at: datetime
    deadline_at: datetime | None
    environment_id: UUID
    environment: str
    variables: dict[str, Any]
    workflow: str
    version: int
    started_by_id: UUID | None
    started_by_type: str
    started_by_name: str
    # The compiled graph of its version, once it was asked for.
    graph: Graph | None = None

    def expression_root(self) -> dict[str, Any]:
        """`input`, `run` and `env` as expressions see them."""
        return {
            "input": self.input,
            "run": {
                "id": str(self.id),
                "workflow": self.workflow,
                "version": self.version,
                "environment": self.environment,
                "trigger": self.trigger,
                "priority": self.priority,
                "tags": self.tags,
                "created_at": self.created_at.isoformat(),
                "started_by": self.started_by_name,
            },
            "env": {"name": self.environment, "variables": self.variables},
        }


@dataclass(slots=True)
class StepFact:
    """What other steps may read of an ended step."""

    status: str
    output: Any
    error: Any

    def as_context(self) -> dict[str, Any]:
        """`steps.<id>` as expressions see it."""
        return {"status": self.status, "output": self.output, "error": self.error}


class Facts:
    """The memory of one worker or ticker. Used by one thread at a time."""

    def __init__(self) -> None:
        self.runs: Memory[UUID, RunFacts] = Memory(2_000)
        self.steps: Memory[Key, StepFact] = Memory(20_000)

    def load_runs(self, conn: psycopg.Connection, run_ids: Iterable[UUID]) -> None:
        """Read the facts of runs not remembered yet."""
        missing = [run_id for run_id in set(run_ids) if self.runs.get(run_id) is None]
        if not missing:
            return
        with cursor_of(conn, class_row(RunFacts)) as cursor:
            for facts in cursor.execute(sql.RUN_FACTS, [missing]).fetchall():
                self.runs.put(facts.id, facts)

    def run(self, conn: psycopg.Connection, run_id: UUID) -> RunFacts:
        """The facts of one run."""
        facts = self.runs.get(run_id)
        if facts is None:
            self.load_runs(conn, [run_id])
            facts = self.runs.get(run_id)
        if facts is None:
            raise LookupError(f"run {run_id} is gone")
        return facts

    def graph_of(self, conn: psycopg.Connection, run_id: UUID) -> Graph:
        """The compiled graph of one run."""
        facts = self.run(conn, run_id)
        if facts.graph is None:
            facts.graph = self.graph(conn, facts.version_id)
        return facts.graph

    def graph(self, conn: psycopg.Connection, version_id: UUID) -> Graph:
        """The compiled graph of a version."""

        def definition() -> Any:
            return read_rows(conn, sql.DEFINITION, [version_id])[0]["definition"]

        return compile_cached(version_id, definition)

    def load_steps(self, conn: psycopg.Connection, keys: Iterable[Key]) -> dict[Key, StepFact]:
        """What is known of these steps. Only those that have ended are remembered."""
        keys = list(keys)
        found = {key: fact for key in keys if (fact := self.steps.get(key)) is not None}
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        run_ids, paths, nodes = zip(*missing, strict=True)
        for row in read_rows(conn, sql.STEP_OUTPUTS, [list(run_ids), list(paths), list(nodes)]):
            key = (row["run_id"], row["path"], row["node"])
            found[key] = StepFact(row["status"], row["output"], row["error"])
            if row["status"] in STEP_TERMINAL:
                self.steps.put(key, found[key])
        return found

    def step_contexts(
        self, conn: psycopg.Connection, run_id: UUID, path: str, nodes: Iterable[str]
    ) -> dict[str, Any]:
        """`steps` for expressions: the named steps of one scope, absent ones left out."""
        found = self.load_steps(conn, [(run_id, path, node) for node in nodes])
        return {key[2]: fact.as_context() for key, fact in found.items()}


class LoadedFrontier:
    """Step rows for one decision: those already known, and more when they are asked for.

    What is handed out is a copy, so that a refused decision spoils no memory; `keep` makes the
    copies the known rows.
    """

    def __init__(self, conn: psycopg.Connection, known: dict[Key, StepRow] | None = None) -> None:
        self.conn = conn
        self.known: dict[Key, StepRow] = {} if known is None else known
        self.used: dict[Key, StepRow] = {}

    def get(self, keys: Iterable[Key]) -> dict[Key, StepRow]:
        """The rows of these steps; ones already seen are the same objects."""
        keys = list(keys)
        missing = [key for key in keys if key not in self.used and key not in self.known]
        if missing:
            run_ids, paths, nodes = zip(*missing, strict=True)
            self._read(sql.FRONTIER, [list(run_ids), list(paths), list(nodes)])
        for key in keys:
            if key not in self.used:
                self.used[key] = replace(self.known[key])
        return {key: self.used[key] for key in keys}

    def keep(self) -> dict[Key, StepRow]:
        """The known rows, as the decision left them."""
        self.known.update(self.used)
        return self.known

    def read_whole(self, run_ids: Iterable[UUID]) -> None:
        """Read all steps of runs."""
        self._read(sql.WHOLE_RUNS, [list(run_ids)])

    def _read(self, statement: str, params: list[Any]) -> None:
        with cursor_of(self.conn, args_row(StepRow)) as cursor:
            for row in cursor.execute(statement, params):
                self.known[(row.run_id, row.path, row.node)] = row


class Views:
    """Runs as this worker last saw them: the run's row and the rows of its steps. A view is only
    ever used under the guard of the run's last seq, so a stale one is refused, never believed."""

    def __init__(self, size: int = 1_000) -> None:
        self._runs: Memory[UUID, tuple[LockedRun, dict[Key, StepRow]]] = Memory(size)

    def get(self, run_id: UUID) -> tuple[LockedRun, dict[Key, StepRow]] | None:
        """The run and the known rows of its steps; to be copied before they are changed."""
        return self._runs.get(run_id)

    def put(self, run: LockedRun, rows: dict[Key, StepRow]) -> None:
        """Remember a run as it was written."""
        if run.is_terminal:
            self._runs.drop(run.id)
        else:
            self._runs.put(run.id, (run, rows))

    def forget(self, run_id: UUID) -> None:
        """The view was refused."""
        self._runs.drop(run_id)

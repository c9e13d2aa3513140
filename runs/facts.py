"""What a worker remembers: facts of runs, compiled graphs, outputs of ended steps. All of it is
immutable once written, so remembering is safe; each memory is bounded."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import args_row, class_row

from controlplane.kit.database import cursor_of
from runs import statements as sql
from runs.advance import Key
from runs.lifecycle import read_rows
from runs.placing import levels, path_of
from runs.rows import LockedRun, Place, ScopeRow, StepRow, Under
from runs.states import STEP_TERMINAL, ScopeStatus, StepStatus
from workflows.graph import Graph, compile_cached

MOST_ENDED_ITEMS = 200
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
    relation: str | None
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
    is_limited: bool
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
        self.words: Memory[Place, dict[str, Any]] = Memory(2_000)

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

    def load_words(self, conn: psycopg.Connection, places: Iterable[Place]) -> None:
        """Read what the bodies at these paths and around them see: item, index, previous."""
        wanted = {(run_id, level) for run_id, path in places for level in levels(path)[1:]}
        missing = [place for place in wanted if self.words.get(place) is None]
        if missing:
            run_ids, paths = zip(*missing, strict=True)
            for row in read_rows(conn, sql.SCOPE_WORDS, [list(run_ids), list(paths)]):
                self.words.put((row["run_id"], row["path"]), row["words"])

    def keys(
        self, conn: psycopg.Connection, run_id: UUID, path: str, nodes: Iterable[str]
    ) -> list[Key]:
        """Where the steps lie that are named by one at `path`."""
        if not path:
            return [(run_id, "", node) for node in nodes]
        graph = self.graph_of(conn, run_id)
        return [(run_id, path_of(graph, path, node), node) for node in nodes]

    def context(
        self, conn: psycopg.Connection, run_id: UUID, path: str, nodes: Iterable[str]
    ) -> dict[str, Any]:
        """All an expression at `path` sees that names these steps; absent ones are left out, and
        the words of an inner body hide those of outer ones."""
        context = self.run(conn, run_id).expression_root()
        found = self.load_steps(conn, self.keys(conn, run_id, path, nodes))
        context["steps"] = {key[2]: fact.as_context() for key, fact in found.items()}
        if path:
            self.load_words(conn, [(run_id, path)])
            for level in levels(path)[1:]:
                context.update(self.words.get((run_id, level)) or {})
        return context


class LoadedFrontier:
    """Step rows for one decision: those already known, and more when they are asked for.

    What is handed out is a copy, so that a refused decision spoils no memory; `keep` makes the
    copies the known rows.
    """

    def __init__(
        self, conn: psycopg.Connection, facts: Facts, known: "KnownRows | None" = None
    ) -> None:
        self.conn = conn
        self.facts = facts
        self.known = KnownRows() if known is None else known
        self.used: dict[Key, StepRow] = {}
        self.used_scopes: dict[Place, ScopeRow] = {}

    def get(self, keys: Iterable[Key]) -> dict[Key, StepRow]:
        """The rows of these steps; ones already seen are the same objects."""
        keys = list(keys)
        missing = [k for k in keys if k not in self.used and k not in self.known.steps]
        if missing:
            run_ids, paths, nodes = zip(*missing, strict=True)
            self._read(sql.FRONTIER, [list(run_ids), list(paths), list(nodes)])
        for key in keys:
            if key not in self.used:
                self.used[key] = replace(self.known.steps[key])
        return {key: self.used[key] for key in keys}

    def add(self, row: StepRow | ScopeRow) -> None:
        """A row that begins to exist."""
        if isinstance(row, StepRow):
            self.used[(row.run_id, row.path, row.node)] = row
        else:
            self.used_scopes[(row.run_id, row.path)] = row

    def scope(self, run_id: UUID, path: str) -> ScopeRow:
        """The item or pass at a path."""
        place = (run_id, path)
        if place not in self.used_scopes:
            known = self.known.scopes.get(place)
            if known is None:
                with cursor_of(self.conn, args_row(ScopeRow)) as cursor:
                    known = cursor.execute(sql.SCOPES, [[run_id], [path]]).fetchall()[0]
            self.used_scopes[place] = replace(known)
        return self.used_scopes[place]

    def close(self, under: Under) -> None:
        """What is open below a place was cancelled; what is not known here is read anew."""
        self.known = KnownRows()
        for step in self.used.values():
            is_open = step.status in (StepStatus.PENDING, StepStatus.READY, StepStatus.WAITING)
            if is_open and step.run_id == under.run_id and under.holds(step.path):
                step.status = StepStatus.CANCELLED
        for scope in self.used_scopes.values():
            is_there = scope.run_id == under.run_id and scope.path.startswith(under.prefix)
            if is_there and scope.status in (ScopeStatus.PENDING, ScopeStatus.OPEN):
                scope.status = ScopeStatus.CANCELLED

    def next_pending(self, container: StepRow, index: int) -> int | None:
        """The first item from `index` on that has not been opened."""
        row = self.conn.execute(sql.NEXT_PENDING_SCOPE, [container.id, index]).fetchone()
        return None if row is None else row[0]

    def pins(self, run_id: UUID) -> dict[str, Any]:
        """What the run fixed at its start."""
        return self.facts.run(self.conn, run_id).pins

    def output_of(self, run_id: UUID, path: str, body: Graph) -> Any:
        """The output of a body whose steps have ended; missing paths are null."""
        if body.output is None:
            return None
        context = self.facts.context(self.conn, run_id, path, body.output.steps)
        return body.output.render(context, missing="null")

    def keep(self) -> "KnownRows":
        """The known rows, as the decision left them."""
        self.known.keep(self.used, self.used_scopes)
        return self.known

    def of(self, run_id: UUID) -> tuple[dict[Key, StepRow], dict[Place, ScopeRow]]:
        """The rows of one run that the decision saw, as it left them."""
        return (
            {key: row for key, row in self.used.items() if key[0] == run_id},
            {place: row for place, row in self.used_scopes.items() if place[0] == run_id},
        )

    def read_whole(self, run_ids: Iterable[UUID]) -> None:
        """Read all steps of runs."""
        self._read(sql.WHOLE_RUNS, [list(run_ids)])

    def _read(self, statement: str, params: list[Any]) -> None:
        with cursor_of(self.conn, args_row(StepRow)) as cursor:
            for row in cursor.execute(statement, params):
                self.known.steps[(row.run_id, row.path, row.node)] = row


@dataclass(slots=True)
class KnownRows:
    """Rows of steps and of scopes, of one run or of a few."""

    steps: dict[Key, StepRow] = field(default_factory=dict)
    scopes: dict[Place, ScopeRow] = field(default_factory=dict)

    def keep(self, steps: dict[Key, StepRow], scopes: dict[Place, ScopeRow]) -> None:
        """Learn of rows; those of items that have ended are not needed again."""
        self.steps.update(steps)
        self.scopes.update(scopes)
        over = {place for place, row in self.scopes.items() if row.status != ScopeStatus.OPEN}
        if len(over) > MOST_ENDED_ITEMS:
            for place in over:
                del self.scopes[place]
            ended = [key for key in self.steps if (key[0], key[1]) in over]
            for key in ended:
                del self.steps[key]


class Views:
    """Runs as this worker last saw them: the run's row and the rows of its steps. A view is only
    ever used under the guard of the run's last seq, so a stale one is refused, never believed."""

    def __init__(self, size: int = 1_000) -> None:
        self._runs: Memory[UUID, tuple[LockedRun, KnownRows]] = Memory(size)

    def get(self, run_id: UUID) -> tuple[LockedRun, KnownRows] | None:
        """The run and the known rows of its steps; to be copied before they are changed."""
        return self._runs.get(run_id)

    def put(self, run: LockedRun, rows: KnownRows) -> None:
        """Remember a run as it was written."""
        if run.is_terminal:
            self._runs.drop(run.id)
        else:
            self._runs.put(run.id, (run, rows))

    def forget(self, run_id: UUID) -> None:
        """The view was refused."""
        self._runs.drop(run_id)

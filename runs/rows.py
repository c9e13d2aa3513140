"""The rows a decision works on, in memory, and as the writing statements take them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from controlplane.kit.json import dumps
from runs.states import RUN_TERMINAL, StepStatus

Place = tuple[UUID, str]  # run, path


@dataclass(slots=True)
class LockedRun:
    """A run whose row this transaction holds, with what will be written to it."""

    id: UUID
    project_id: UUID
    workflow_id: UUID
    version_id: UUID
    status: str
    end_status: str
    reason: str
    last_seq: int
    open_steps: int
    busy_steps: int
    priority: int
    # The last_seq the run was seen with; None until something is written.
    was: int | None = None
    output: Any = None
    error: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in RUN_TERMINAL

    def touch(self) -> None:
        """Something of it will be written."""
        if self.was is None:
            self.was = self.last_seq

    def written(self) -> "LockedRun":
        """The run as it stands after it was written, for the next decision."""
        return replace(
            self,
            was=None,
            output=None,
            error=None,
            input_tokens=0,
            output_tokens=0,
            cost=None,
            unpriced_calls=0,
        )


@dataclass(slots=True)
class StepRow:
    """What deciding needs of a step."""

    id: UUID
    run_id: UUID
    path: str
    node: str
    status: str
    deps_left: int
    deps_taken: int
    queue: str
    pool: str
    kind: str
    attempt: int
    state: dict[str, Any] | None = None
    lease: UUID | None = None
    worker_id: UUID | None = None


@dataclass(slots=True)
class ScopeRow:
    """What deciding needs of one item of a map or one pass of a loop."""

    run_id: UUID
    step_id: UUID
    path: str
    index: int
    status: str
    open_steps: int
    output: Any = None
    error: Any = None


@dataclass(slots=True)
class Spawn:
    """Bodies a container opens: the words of each of its items from `first` on, of which `window`
    may be open at a time; `kept` are outputs that an earlier run has made."""

    words: list[dict[str, Any]]
    first: int = 0
    window: int = 1
    kept: dict[int, Any] = field(default_factory=dict)

    def indexes(self) -> list[int]:
        """The items that are opened at once."""
        count = range(self.first, self.first + len(self.words))
        return [index for index in count if index not in self.kept][: self.window]

    def counts(self, allow: int) -> dict[str, Any]:
        """What the container's state says once they are open."""
        opened = self.indexes()
        return {
            "total": self.first + len(self.words),
            "next": opened[-1] + 1,
            "open": len(opened),
            "done": self.first + len(self.kept),
            "failed": 0,
            "allow": allow,
            "has_kept": bool(self.kept),
        }


@dataclass(slots=True)
class Ended:
    """How one step ended: its result, the outcome of each outgoing edge, and what it used."""

    step_id: UUID
    run_id: UUID
    path: str
    node: str
    lease: UUID
    status: str
    reason: str = ""
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    edges: tuple[bool, ...] = ()
    is_fatal: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    # A failed attempt that will be repeated: milliseconds to wait.
    retry_in_ms: int | None = None
    attempt: int = 1
    # A step that waits: until when at the longest, what it keeps meanwhile, whom it asks.
    wake_at: datetime | None = None
    state: dict[str, Any] | None = None
    approval_id: UUID | None = None
    approval: dict[str, Any] | None = None
    # A declared call is open, and nobody knows whether it happened.
    is_in_doubt: bool = False
    # A container opens bodies; or it ends while some of them are open.
    spawn: Spawn | None = None
    leaves_open: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the step has ended for good: nothing is repeated or waited for."""
        return self.retry_in_ms is None and self.status != StepStatus.WAITING

    @property
    def needs_lock(self) -> bool:
        """Whether more is written, or must be known, than the one guarded statement can: a step is
        cancelled only in a run whose end has begun elsewhere."""
        is_cut = self.status == StepStatus.CANCELLED or self.leaves_open
        return self.is_fatal or self.is_in_doubt or is_cut


@dataclass(frozen=True, slots=True)
class Under:
    """A place of a run: the body at `path`, and all whose path begins with `prefix`. For all items
    of a container both are what their paths begin with."""

    run_id: UUID
    path: str
    prefix: str

    def holds(self, path: str) -> bool:
        """Whether a step at that path lies there."""
        return path == self.path or path.startswith(self.prefix)


def where(step: StepRow | Ended) -> dict[str, Any]:
    """Which step an event is about: its node, and its place where that is inside a body."""
    return {"node": step.node, "path": step.path} if step.path else {"node": step.node}


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as the statements take them."""
    return dumps(rows).decode()


def end_row(ended: Ended) -> dict[str, Any]:
    """How a step ended, or what it waits for."""
    return {
        "run": ended.run_id,
        "path": ended.path,
        "id": ended.step_id,
        "lease": ended.lease,
        "status": ended.status,
        "reason": ended.reason,
        "input": ended.input,
        "output": ended.output,
        "error": ended.error,
        "edges": list(ended.edges),
        "fatal": ended.is_fatal,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
        "wake": ended.wake_at,
        "state": ended.state,
        "approval": ended.approval_id,
    }


def retry_row(ended: Ended) -> dict[str, Any]:
    """A failed attempt that will be repeated."""
    return {
        "run": ended.run_id,
        "path": ended.path,
        "id": ended.step_id,
        "lease": ended.lease,
        "error": ended.error,
        "input": ended.input,
        "ms": ended.retry_in_ms,
        "it": ended.input_tokens,
        "ot": ended.output_tokens,
        "cost": ended.cost,
        "un": ended.unpriced_calls,
    }


def progress_row(step: StepRow) -> dict[str, Any]:
    """A step that learned of an edge, became ready, was taken or skipped."""
    return {
        "run": step.run_id,
        "id": step.id,
        "status": step.status,
        "left": step.deps_left,
        "taken": step.deps_taken,
        "lease": step.lease,
        "worker": step.worker_id,
        "attempt": step.attempt,
        "state": step.state,
    }


def scope_row(scope: ScopeRow) -> dict[str, Any]:
    """An item of a map, or a pass of a loop, that moved on."""
    return {
        "run": scope.run_id, "step": scope.step_id, "index": scope.index, "status": scope.status,
        "open": scope.open_steps, "output": scope.output, "error": scope.error,
    }  # fmt: skip


def run_row(run: LockedRun) -> dict[str, Any]:
    """What a run says after the decision, and the seq it was seen with."""
    return {
        "id": run.id,
        "was": run.was,
        "status": run.status,
        "end": run.end_status,
        "reason": run.reason,
        "seq": run.last_seq,
        "open": run.open_steps,
        "busy": run.busy_steps,
        "output": run.output,
        "error": run.error,
        "it": run.input_tokens,
        "ot": run.output_tokens,
        "cost": run.cost,
        "un": run.unpriced_calls,
        "ended": run.is_terminal,
    }

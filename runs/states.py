"""States of runs and steps, and the moves between them."""

from django.db import models


class RunStatus(models.TextChoices):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out", "Timed out"


class StepStatus(models.TextChoices):
    """Where a step stands."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class ScopeStatus(models.TextChoices):
    """Where one item of a map, or one pass of a loop, stands."""

    PENDING = "pending"
    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Trigger(models.TextChoices):
    """What started a run."""

    MANUAL = "manual"
    API = "api"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    EVENT = "event"
    TEST = "test"
    WORKFLOW = "workflow"


class Relation(models.TextChoices):
    """How a run hangs on its parent."""

    RETRY = "retry"
    FORK = "fork"
    RERUN = "rerun"
    CHILD = "child"


_END = {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}
_ALIVE = {RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED}

# Terminal runs never reopen: retry, fork and rerun make a new run.
RUN_MOVES: dict[str, set[str]] = {
    RunStatus.QUEUED: _END | (_ALIVE - {RunStatus.QUEUED}) | {RunStatus.CANCELLING},
    RunStatus.RUNNING: _END | {RunStatus.WAITING, RunStatus.PAUSED, RunStatus.CANCELLING},
    RunStatus.WAITING: _END | {RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.CANCELLING},
    RunStatus.PAUSED: _END | _ALIVE - {RunStatus.PAUSED} | {RunStatus.CANCELLING},
    RunStatus.CANCELLING: {RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.TIMED_OUT},
    **{end: set() for end in _END},
}
STEP_MOVES: dict[str, set[str]] = {
    StepStatus.PENDING: {StepStatus.READY, StepStatus.SKIPPED, StepStatus.CANCELLED},
    StepStatus.READY: {StepStatus.RUNNING, StepStatus.CANCELLED, StepStatus.SKIPPED},
    StepStatus.RUNNING: {
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.WAITING,
        StepStatus.READY,
        StepStatus.PARKED,
    },
    StepStatus.WAITING: {
        StepStatus.READY,
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.PARKED,
    },
    StepStatus.PARKED: {
        StepStatus.READY,
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.SKIPPED,
        StepStatus.SUCCEEDED,
    },
    StepStatus.SUCCEEDED: set(),
    StepStatus.FAILED: set(),
    StepStatus.SKIPPED: set(),
    StepStatus.CANCELLED: set(),
}
RUN_TERMINAL = frozenset(s for s, moves in RUN_MOVES.items() if not moves)
STEP_TERMINAL = frozenset(s for s, moves in STEP_MOVES.items() if not moves)

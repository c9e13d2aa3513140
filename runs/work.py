"""The work of one step: what a kind is given, what it answers, and how that becomes an end."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from django.db import Error as DjangoDatabaseError

from controlplane.kit.errors import DomainError
from controlplane.kit.expressions import ExpressionError
from controlplane.kit.storable import problem
from runs.facts import RunFacts
from runs.logs import storable_text
from runs.rows import Ended, Spawn
from runs.states import StepStatus
from workflows.graph import Graph, Node, edge_outcomes

MAX_OUTPUT_BYTES = 4 * 1024 * 1024
MAX_ERROR_CHARACTERS = 4_000
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
# How long after each answer that tells nothing a check is asked again; then a person is.
ASK_AGAIN_SECONDS = (0.0, 2.0, 10.0, 30.0)
# An open effect whose check is being asked: no call of it is under way.
ASKING = "asking"


class StepFailed(Exception):
    """The step's work did not succeed. `retry_after_seconds` is what the other side asked for."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "error",
        is_retryable: bool = True,
        retry_after_seconds: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.is_retryable = is_retryable
        self.retry_after_seconds = retry_after_seconds
        self.details = dict(details or {})


class StepCancelled(Exception):
    """The run is being cancelled and the work noticed."""


class StepFrozen(Exception):
    """The project or environment is frozen: the call is made when it is thawed."""


class NeedsReconcile(Exception):
    """A call may or may not have happened: its tool's check must tell, where it has one and that
    is worth asking (`may_ask`), else a person. `failure` is how the call ended, where it did."""

    def __init__(self, failure: StepFailed | None = None, *, may_ask: bool = True) -> None:
        super().__init__()
        self.failure = failure
        self.may_ask = may_ask


class LeaseLost(Exception):
    """Another may be doing this step now: stop, and write nothing."""


@dataclass(slots=True)
class Done:
    """What a kind answers: output, what it used, and the calls it made (see `statements`)."""

    output: Any = None
    input: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    unpriced_calls: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Waits:
    """What a kind answers that waits for somebody or something: why, until when at the longest, and
    what it keeps. It is asked again when that has come, with `resumed` in its state, and with
    `is_due` where the time has passed."""

    reason: str
    until: datetime | None = None
    state: dict[str, Any] = field(default_factory=dict)
    approval_id: UUID | None = None
    approval: dict[str, Any] | None = None
    # The bodies that are opened meanwhile.
    spawn: Spawn | None = None


@dataclass(slots=True, eq=False)
class StepWork:
    """One leased step in the hands of a worker."""

    id: UUID
    run: RunFacts
    graph: Graph
    node: Node
    path: str
    lease: UUID
    attempt: int
    crash_count: int
    pool: str
    context: dict[str, Any]
    worker: Any
    stop: threading.Event = field(default_factory=threading.Event)
    # What the kind read before the work began: the tool, or the agent with its tools.
    subject: Any = None
    # Filled as the work goes, so that a failure still accounts for what was used.
    spent: Done = field(default_factory=Done)
    input: Any = None
    is_abandoned: bool = False
    # What the step kept while it waited.
    state: dict[str, Any] = field(default_factory=dict)
    # Declared effects whose call is under way: ordinal → effect class.
    open_effects: dict[int, str] = field(default_factory=dict)
    # The task of a step on the event loop; whether a thread works on the step.
    task: asyncio.Task[None] | None = None
    is_on_thread: bool = False
    # Seconds; a kind may narrow the node's timeout to its tool's.
    timeout_seconds: float | None = None
    started: float = field(default_factory=time.monotonic)

    def render(self, name: str, default: Any = None) -> Any:
        """A field of the node with its expressions filled in."""
        template = self.node.templates.get(name)
        return default if template is None else template.render(self.context)

    def overran(self, now: float) -> bool:
        """Whether the step works longer than it may (`now` on the monotonic clock)."""
        if self.timeout_seconds is None or self.stop.is_set():
            return False
        return now - self.started > self.timeout_seconds

    @property
    def is_in_doubt(self) -> bool:
        """Whether a call is open that must not simply be repeated."""
        return any(effect != "idempotent" for effect in self.open_effects.values())

    @property
    def is_askable(self) -> bool:
        """Whether every call in doubt can be asked about."""
        return bool(self.open_effects) and all(
            effect in ("idempotent", "checkable", ASKING) for effect in self.open_effects.values()
        )

    def check_cancelled(self) -> None:
        """Raise where the run is being cancelled or the lease is lost."""
        if self.is_abandoned:
            raise LeaseLost
        if self.stop.is_set():
            raise StepCancelled

    def log(self, level: str, message: str, data: Any = None) -> None:
        """One line of the run's log; written in batches."""
        self.worker.log(self, level, message, data)


def conclude(step: StepWork, work: Callable[[], Done | Waits]) -> Ended | None:
    """Do the work and say how it ended; None where the step is another's by now."""
    try:
        done = work()
    except Exception as exc:
        return failed(step, exc)
    return succeeded(step, done)


def succeeded(step: StepWork, done: Done | Waits) -> Ended | None:
    """The end of a step whose work was done, if its output can be stored and its edges told; or its
    waiting."""
    if step.is_abandoned:
        return None
    if isinstance(done, Waits):
        return _ended(
            step, StepStatus.WAITING, step.spent, reason=done.reason, wake_at=done.until,
            state=done.state, approval_id=done.approval_id, approval=done.approval,
            spawn=done.spawn,
        )  # fmt: skip
    fault = problem(done.output, MAX_OUTPUT_BYTES)
    if fault is not None:
        step.spent = done
        message = f"The output cannot be stored: {fault}"
        return failed(step, StepFailed(message, code="output_not_storable", is_retryable=False))
    try:
        edges = _edges(step, StepStatus.SUCCEEDED, done.output, None)
    except ExpressionError as exc:
        step.spent = done
        return failed(step, exc)
    return _ended(step, StepStatus.SUCCEEDED, done, output=done.output, edges=edges)


def failed(step: StepWork, exc: Exception) -> Ended | None:
    """The end of a step whose work raised: cancelled, repeated later, handled or fatal."""
    if step.is_abandoned or isinstance(exc, LeaseLost):
        return None
    failure = as_failure(exc)
    if isinstance(exc, StepCancelled) or (failure.code == "cancelled" and step.stop.is_set()):
        return _ended(step, StepStatus.CANCELLED, step.spent, reason="cancelled")
    # A call that may have happened is not repeated, whatever else went wrong.
    if isinstance(exc, NeedsReconcile) or step.is_in_doubt:
        return _in_doubt(step, exc)
    if isinstance(exc, StepFrozen) or failure.code == "frozen":
        # Going on is no new attempt.
        state = {**step.state, "resumed": True}
        return _ended(step, StepStatus.WAITING, step.spent, reason="frozen", state=state)
    error = {
        "code": failure.code,
        "message": failure.message[:MAX_ERROR_CHARACTERS],
        **({"details": failure.details} if failure.details else {}),
    }
    if problem(error, MAX_OUTPUT_BYTES) is not None:
        error = {"code": failure.code, "message": storable_text(error["message"])}
    retry = step.node.retry
    may_retry = failure.is_retryable and step.attempt - step.crash_count < retry.max_attempts
    if may_retry or is_database_away(exc):
        ended = _ended(step, StepStatus.FAILED, step.spent, reason=failure.code, error=error)
        ended.retry_in_ms = backoff_ms(step, failure)
        return ended
    edges, is_fatal = _edges_of_failure(step, error)
    return _ended(
        step,
        StepStatus.FAILED,
        step.spent,
        reason=failure.code,
        error=error,
        edges=edges,
        is_fatal=is_fatal,
    )


def _in_doubt(step: StepWork, exc: Exception) -> Ended:
    """The step waits for what its tools' checks say, else for a person's word."""
    may_ask, failure = True, None
    if isinstance(exc, NeedsReconcile):
        may_ask, failure = exc.may_ask, exc.failure
    else:
        failure = as_failure(exc)
    asking = dict(step.state.get("asking", {}))
    times = 0
    for ordinal, effect in step.open_effects.items():
        if effect == "idempotent":
            continue
        entry = {"times": 0, **asking.get(str(ordinal), {})}
        if effect != ASKING and failure is not None:
            entry = {"times": 0, "error": _kept_failure(failure)}
        times = max(times, entry["times"])
        asking[str(ordinal)] = {**entry, "times": entry["times"] + 1}
    if not (may_ask and step.is_askable and times < len(ASK_AGAIN_SECONDS)):
        return _ended(step, StepStatus.WAITING, step.spent, reason="reconcile")
    return _ended(
        step,
        StepStatus.WAITING,
        step.spent,
        reason="checking",
        wake_at=datetime.now(UTC) + timedelta(seconds=ASK_AGAIN_SECONDS[times]),
        state={**step.state, "asking": asking},
    )


def _kept_failure(failure: StepFailed) -> dict[str, Any]:
    """What a call failed with, should its check say that nothing happened."""
    message = storable_text(failure.message[:MAX_ERROR_CHARACTERS])
    return {"code": failure.code, "message": message, "retryable": failure.is_retryable}


def as_failure(exc: Exception) -> StepFailed:
    """Any exception of a kind as a failure with a code and a sentence."""
    if isinstance(exc, StepFailed):
        return exc
    if isinstance(exc, ExpressionError):
        return StepFailed(exc.message, code=exc.code, is_retryable=False)
    if isinstance(exc, TimeoutError):
        return StepFailed("The step took longer than its timeout.", code="timeout")
    if isinstance(exc, DomainError):
        retryable = bool(getattr(exc, "retryable", False))
        return StepFailed(
            exc.message,
            code=exc.code,
            is_retryable=retryable,
            retry_after_seconds=exc.extra.get("retry_after"),
        )
    return StepFailed(f"{type(exc).__name__}: {exc}", code="internal_error")


def backoff_ms(step: StepWork, failure: StepFailed) -> int:
    """Full jitter under an exponential cap; never sooner than the other side asked for."""
    retry = step.node.retry
    exponent = min(max(step.attempt - 1, 0), 30)
    cap = min(retry.max_backoff_seconds, retry.backoff_seconds * 2**exponent)
    wait = random.uniform(0, cap)  # noqa: S311
    asked = min(failure.retry_after_seconds or 0, LONGEST_RETRY_AFTER_SECONDS)
    return round(max(wait, asked) * 1000)


def is_database_away(exc: BaseException) -> bool:
    """Whether our own database did not answer: no connection, shut down, or out of resources."""
    if isinstance(exc, DjangoDatabaseError):
        return exc.__cause__ is not None and is_database_away(exc.__cause__)
    if not isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return exc.sqlstate is None or exc.sqlstate[:2] in ("08", "53", "57")


def _edges(step: StepWork, status: str, output: Any, error: Any) -> tuple[bool, ...]:
    own = {"status": str(status), "output": output, "error": error}
    context = {**step.context, "steps": {**step.context["steps"], step.node.id: own}}
    outcomes = edge_outcomes(step.graph, step.node.id, str(status), output, context)
    return tuple(outcomes[edge] for edge in step.graph.out[step.node.id])


def _edges_of_failure(step: StepWork, error: Any) -> tuple[tuple[bool, ...], bool]:
    if step.node.on_error == "fail":
        return (), True
    try:
        return _edges(step, StepStatus.FAILED, None, error), False
    except ExpressionError:
        return (), True


def _ended(step: StepWork, status: str, used: Done, **rest: Any) -> Ended:
    return Ended(
        step_id=step.id,
        run_id=step.run.id,
        path=step.path,
        node=step.node.id,
        lease=step.lease,
        status=str(status),
        input=used.input if used.input is not None else step.input,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost=used.cost,
        unpriced_calls=used.unpriced_calls,
        calls=used.calls,
        attempt=step.attempt,
        is_in_doubt=step.is_in_doubt and status != StepStatus.SUCCEEDED,
        leaves_open=step.node.body is not None and step.state.get("open", 0) > 0,
        **rest,
    )

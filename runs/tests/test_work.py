"""How the work of a step becomes its end."""

import threading
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import OperationalError

from controlplane.kit.errors import DomainError
from controlplane.kit.expressions import ExpressionError
from runs.work import (
    LONGEST_RETRY_AFTER_SECONDS,
    MAX_OUTPUT_BYTES,
    Done,
    LeaseLost,
    NeedsReconcile,
    StepCancelled,
    StepFailed,
    StepWork,
    Waits,
    as_failure,
    backoff_ms,
    conclude,
    failed,
    is_database_away,
    succeeded,
)
from workflows.graph import compile_graph


def a_step(*, when: str | None = None, **given: Any) -> StepWork:
    """A step `a` with an edge to `b`; keywords are fields of the node or of the work."""
    node_fields = {
        key: given.pop(key) for key in ("retry", "on_error", "timeout_seconds") if key in given
    }
    definition = {
        "nodes": [
            {"id": "a", "kind": "transform", "set": {"x": "${input.x}"}, **node_fields},
            {"id": "b", "kind": "transform", "set": {}},
            {"id": "c", "kind": "transform", "set": {}},
        ],
        "edges": [{"from": "a", "to": "b", **({"when": when} if when else {})}],
    }
    graph = compile_graph(definition)
    run = SimpleNamespace(id=uuid4(), project_id=uuid4(), root_id=uuid4())
    fields = {
        "id": uuid4(),
        "run": run,
        "graph": graph,
        "node": graph.nodes["a"],
        "path": "",
        "lease": uuid4(),
        "attempt": 1,
        "crash_count": 0,
        "pool": "cpu",
        "context": {"input": {"x": 1}, "steps": {}, "run": {}, "env": {}},
        "worker": None,
        **given,
    }
    return StepWork(**fields)  # type: ignore[arg-type]


def test_work_that_is_done_takes_its_edges() -> None:
    ended = conclude(a_step(when="steps.a.output.n > 1"), lambda: Done(output={"n": 2}))
    assert ended is not None
    assert (ended.status, ended.output, ended.edges) == ("succeeded", {"n": 2}, (True,))
    assert ended.is_over


def test_an_edge_whose_condition_does_not_hold_is_not_taken() -> None:
    ended = succeeded(a_step(when="steps.a.output.n > 1"), Done(output={"n": 1}))
    assert ended is not None
    assert ended.edges == (False,)


def test_an_edge_that_cannot_be_evaluated_fails_the_step_and_keeps_what_it_used() -> None:
    done = Done(output={}, input_tokens=5, cost=Decimal("0.1"))
    ended = succeeded(a_step(when="steps.a.output.n > 1"), done)
    assert ended is not None
    assert (ended.status, ended.reason, ended.is_fatal) == ("failed", "expression_error", True)
    assert (ended.input_tokens, ended.cost) == (5, Decimal("0.1"))


@pytest.mark.parametrize(
    "output", ["\0", float("nan"), float("-inf"), "\udc00", {1: 2}, 2**64, {"s": {1}}, object()]
)
def test_an_output_that_cannot_be_stored_fails_the_step(output: Any) -> None:
    ended = succeeded(a_step(retry={"max_attempts": 5}), Done(output=output))
    assert ended is not None
    assert (ended.status, ended.reason) == ("failed", "output_not_storable")
    assert (ended.output, ended.retry_in_ms) == (None, None)


def test_an_output_may_be_just_as_large_as_allowed() -> None:
    fits = succeeded(a_step(), Done(output="x" * (MAX_OUTPUT_BYTES - 2)))
    over = succeeded(a_step(), Done(output="x" * (MAX_OUTPUT_BYTES - 1)))
    assert fits is not None
    assert over is not None
    assert (fits.status, over.status) == ("succeeded", "failed")


def test_a_failure_is_fatal_unless_it_is_borne() -> None:
    error = StepFailed("no", code="x")
    plain, borne = failed(a_step(), error), failed(a_step(on_error="continue"), error)
    led = failed(a_step(on_error="c"), error)
    assert plain is not None
    assert borne is not None
    assert led is not None
    assert (plain.is_fatal, plain.edges) == (True, ())
    assert (borne.is_fatal, borne.edges) == (False, (True,))
    assert (led.is_fatal, led.edges) == (False, (False, True))


def test_after_a_borne_failure_conditions_see_its_error_and_no_output() -> None:
    when = "steps.a.output == null && steps.a.error.code == 'x' && steps.a.status == 'failed'"
    ended = failed(a_step(when=when, on_error="continue"), StepFailed("no", code="x"))
    assert ended is not None
    assert ended.edges == (True,)


def test_a_borne_failure_whose_edge_cannot_be_evaluated_is_fatal() -> None:
    step = a_step(when="steps.a.output.n > 1", on_error="continue")
    ended = failed(step, StepFailed("no"))
    assert ended is not None
    assert ended.is_fatal


def test_a_failure_is_repeated_while_attempts_are_left() -> None:
    def ends(attempt: int, crashes: int = 0, *, is_retryable: bool = True) -> Any:
        step = a_step(retry={"max_attempts": 3}, attempt=attempt, crash_count=crashes)
        return failed(step, StepFailed("no", is_retryable=is_retryable))

    assert [ends(n).retry_in_ms is None for n in (1, 2, 3)] == [False, False, True]
    assert ends(4, 2).retry_in_ms is not None
    assert ends(1, is_retryable=False).retry_in_ms is None
    assert not ends(1).is_over


def test_a_backoff_doubles_up_to_its_cap_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    caps: list[float] = []
    monkeypatch.setattr("runs.work.random.uniform", lambda low, cap: caps.append(cap) or cap)
    retry = {"max_attempts": 99, "backoff_seconds": 2, "max_backoff_seconds": 10}
    waits = [backoff_ms(a_step(retry=retry, attempt=n), StepFailed("no")) for n in (1, 2, 3, 4, 90)]
    assert caps == [2, 4, 8, 10, 10]
    assert waits == [2_000, 4_000, 8_000, 10_000, 10_000]


def test_a_backoff_is_never_shorter_than_asked_nor_longer_than_a_day() -> None:
    step = a_step(retry={"max_attempts": 2, "backoff_seconds": 0})
    assert backoff_ms(step, StepFailed("no", retry_after_seconds=7)) == 7_000
    asked = StepFailed("no", retry_after_seconds=1e300)
    assert backoff_ms(step, asked) == LONGEST_RETRY_AFTER_SECONDS * 1_000


@pytest.mark.parametrize(
    ("raised", "code", "is_retryable"),
    [
        (TimeoutError(), "timeout", True),
        (ExpressionError("no such key"), "expression_error", False),
        (KeyError("x"), "internal_error", True),
        (DomainError("no", code="denied"), "denied", False),
    ],
)
def test_any_exception_becomes_a_failure_with_a_code(
    raised: Exception, code: str, is_retryable: bool
) -> None:
    failure = as_failure(raised)
    assert (failure.code, failure.is_retryable) == (code, is_retryable)


def test_an_error_is_cut_and_cleaned_before_it_is_stored() -> None:
    long = failed(a_step(), StepFailed("x" * 9_000))
    odd = failed(a_step(), StepFailed("a\0b", details={"body": "\0"}))
    assert long is not None
    assert odd is not None
    assert len(long.error["message"]) == 4_000
    assert odd.error == {"code": "error", "message": "a�b"}


def test_a_lost_lease_or_an_abandoned_step_ends_nothing() -> None:
    def lost() -> Done:
        raise LeaseLost

    assert conclude(a_step(), lost) is None
    step = a_step()
    step.is_abandoned = True
    assert succeeded(step, Done()) is None
    assert failed(step, StepFailed("no")) is None


def test_a_cancelled_step_is_cancelled_not_failed() -> None:
    told = a_step()
    told.stop.set()
    heard = StepFailed("The call was cancelled.", code="cancelled")
    for step, raised in ((a_step(), StepCancelled()), (told, heard)):
        ended = failed(step, raised)
        assert ended is not None
        assert (ended.status, ended.reason) == ("cancelled", "cancelled")
        assert ended.needs_lock
    untold = failed(a_step(), heard)
    assert untold is not None
    assert untold.status == "failed"


@pytest.mark.parametrize("raised", [NeedsReconcile(), TimeoutError(), RuntimeError("x")])
def test_a_call_that_may_have_happened_waits_for_a_person(raised: Exception) -> None:
    step = a_step(retry={"max_attempts": 5})
    step.open_effects[0] = "unsafe"
    ended = failed(step, raised)
    assert ended is not None
    assert (ended.status, ended.reason, ended.is_in_doubt) == ("waiting", "reconcile", True)
    assert not ended.is_over


def test_an_idempotent_call_that_may_have_happened_is_simply_repeated() -> None:
    step = a_step(retry={"max_attempts": 5})
    step.open_effects[0] = "idempotent"
    ended = failed(step, TimeoutError())
    assert ended is not None
    assert (ended.status, ended.retry_in_ms is None) == ("failed", False)


def test_a_step_that_waits_has_not_ended() -> None:
    ended = succeeded(a_step(), Waits("timer", state={"k": 1}))
    assert ended is not None
    assert (ended.status, ended.reason, ended.state) == ("waiting", "timer", {"k": 1})
    assert not ended.is_over


def test_our_own_database_being_away_is_no_failure_of_the_step() -> None:
    def raised(sqlstate: str | None) -> Exception:
        kind = type("E", (psycopg.OperationalError,), {"sqlstate": sqlstate})
        return kind("x")

    assert [is_database_away(raised(s)) for s in (None, "08006", "57P01", "53300")] == [True] * 4
    assert not is_database_away(raised("54000"))
    assert not is_database_away(psycopg.DataError("x"))
    wrapped = OperationalError("x")
    assert not is_database_away(wrapped)
    wrapped.__cause__ = raised(None)
    assert is_database_away(wrapped)
    ended = failed(a_step(attempt=9), raised(None))
    assert ended is not None
    assert ended.retry_in_ms is not None


def test_a_step_overran_when_it_worked_longer_than_it_may() -> None:
    step = a_step(timeout_seconds=1)
    step.timeout_seconds = 1
    step.started = 100.0
    assert (step.overran(100.9), step.overran(101.1)) == (False, True)
    step.stop = threading.Event()
    step.stop.set()
    assert not step.overran(200)
    assert not a_step().overran(1e9)

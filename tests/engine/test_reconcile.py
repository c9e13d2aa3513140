"""Calls that may or may not have happened: a person says so, once, and the run goes on by it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.models import Event
from governance.models import AuditEntry
from runs import reconcile, services
from runs.models import Effect, Run
from runs.reconcile import Compensation, Word
from tests.engine import functions
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import called, die

THREADS = 32
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def doubtful(house: House, name: str, gate: threading.Event) -> Callable[..., Effect]:
    """`doubtful(**fields)`: an unsafe call whose worker died; another worker and a ticker live."""

    def make(tool: str = "held", **fields: Any) -> Effect:
        worker = house.worker()
        node = call(tool, name=name, **fields)
        after = {"kind": "transform", "set": {"n": "${steps.a.output}"}}
        run = house.start(graph({"a": node, "b": after}, "a>b"))
        called(house, name, 1)
        die(worker)
        house.worker()
        house.ticker()
        house.rests(run, "waiting")
        return Effect.objects.get(run=run)

    return make


def say(house: House, effect: Effect, action: str, **word: Any) -> Effect:
    return reconcile.resolve(effect, Word(action, **word), actor=house.user)


def test_a_call_that_happened_is_not_made_again_and_its_answer_goes_on(
    house: House, name: str, doubtful
) -> None:
    effect = doubtful()
    say(house, effect, "done", output={"n": 7}, comment="seen in their log")
    run = house.ended(effect.run)
    assert (run.status, house.steps(run)["b"].output) == ("succeeded", {"n": {"n": 7}})
    assert functions.CALLS[name] == 1
    effect.refresh_from_db()
    assert (effect.state, effect.resolution) == ("resolved", "done")
    assert effect.resolved_by["name"] == "Own"
    audited = AuditEntry.objects.get(action="run.reconciled", target_id=str(run.pk))
    assert audited.after["comment"] == "seen in their log"
    assert Event.objects.filter(subject_id=run.pk, type="effect.resolved").count() == 1


@pytest.mark.parametrize("new_key", [False, True])
def test_a_call_is_made_again_under_the_same_key_or_another(
    house: House, name: str, gate: threading.Event, doubtful, new_key: bool
) -> None:
    effect = doubtful()
    gate.set()
    say(house, effect, "redo", new_key=new_key)
    assert house.ended(effect.run).status == "succeeded"
    assert functions.CALLS[name] == 2
    assert len(set(functions.KEYS[name])) == 1 + new_key
    kept = Effect.objects.filter(run=effect.run).order_by("created_at")
    assert [(e.state, e.resolution) for e in kept] == [("resolved", "redo"), ("done", "")]


def test_a_call_made_again_that_is_cut_off_again_is_in_doubt_again(
    house: House, name: str, doubtful
) -> None:
    effect = doubtful()
    say(house, effect, "redo")
    called(house, name, 2)
    die(house.workers[-1])
    house.worker()
    house.rests(effect.run, "waiting")
    assert Effect.objects.unknown().filter(run=effect.run).count() == 1
    house.check([effect.run_id])


def test_what_was_undone_fails_its_step_and_a_workflow_may_undo_it(
    house: House, name: str, doubtful
) -> None:
    effect = doubtful()
    undo = house.workflow(graph({"u": {}}, output={"undone": "${input.name}"}))
    said = say(house, effect, "compensate", compensation=Compensation(undo, effect.arguments))
    run = house.ended(effect.run)
    assert (run.status, run.reason, functions.CALLS[name]) == ("failed", "compensated", 1)
    undoing = house.ended(Run.objects.get(pk=said.compensation_run_id))
    assert (undoing.output, undoing.tags) == ({"undone": name}, ["compensation"])


def test_a_failure_by_undoing_is_handled_like_any(house: House, doubtful) -> None:
    effect = doubtful(on_error="continue")
    say(house, effect, "compensate")
    run = house.ended(effect.run)
    assert (run.status, house.steps(run)["a"].reason) == ("succeeded", "compensated")


def test_an_output_must_fit_what_the_tool_promises(house: House, doubtful) -> None:
    house.tool("held", output_schema=ANSWER)
    effect = doubtful()
    with pytest.raises(InvalidInput) as refused:
        say(house, effect, "done", output={"n": "seven"})
    assert refused.value.errors[0].field == "output.n"
    with pytest.raises(InvalidInput):
        say(house, effect, "done")
    with pytest.raises(InvalidInput):
        say(house, effect, "done", output="\x00")
    say(house, effect, "done", output={"n": 7})
    assert house.ended(effect.run).status == "succeeded"


@pytest.mark.parametrize(
    "word",
    [
        Word("guess"),
        Word("redo", output=1),
        Word("done", output={}, new_key=True),
        Word("redo", compensation=Compensation(None, {})),
    ],
)
def test_a_word_that_makes_no_sense_is_refused(house: House, doubtful, word: Word) -> None:
    effect = doubtful()
    with pytest.raises(InvalidInput):
        reconcile.resolve(effect, word, actor=house.user)
    assert Effect.objects.get(pk=effect.pk).is_open


def test_of_32_words_on_one_call_one_counts(
    house: House, name: str, gate: threading.Event, doubtful
) -> None:
    effect = doubtful()
    gate.set()

    def one(number: int) -> str:
        try:
            action = ("done", "redo", "compensate")[number % 3]
            return say(house, effect, action).resolution
        except DomainError as exc:
            return exc.code
        finally:
            house.close()

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(one, range(THREADS)))
    assert answers.count("already_resolved") == THREADS - 1
    run = house.ended(effect.run)
    assert AuditEntry.objects.filter(action="run.reconciled", target_id=str(run.pk)).count() == 1
    assert functions.CALLS[name] == 1 + ("redo" in answers)


def test_a_call_of_a_stopped_run_blocks_its_retry_until_somebody_says(
    house: House, name: str, gate: threading.Event
) -> None:
    worker = house.worker()
    run = house.start(graph({"a": call("held", name=name), "b": {}}, "a>b"))
    called(house, name, 1)
    die(worker)
    services.cancel(run, actor=house.user)
    house.ticker()
    run = house.ended(run, seconds=5)
    effect = Effect.objects.get(run=run)
    with pytest.raises(DomainError) as refused:
        services.retry(run, actor=house.user)
    assert refused.value.code == "unresolved_effect"
    with pytest.raises(DomainError) as refused:
        say(house, effect, "redo")
    assert refused.value.code == "step_ended"
    say(house, effect, "done", output={"n": 1})
    house.worker()
    again, _ = services.retry(run, actor=house.user)
    again = house.ended(again)
    assert (again.status, house.steps(again)["a"].output) == ("succeeded", {"n": 1})
    assert functions.CALLS[name] == 1
    house.check([run.pk])

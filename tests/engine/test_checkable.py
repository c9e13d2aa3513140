"""Checkable calls in doubt: the tool's own check says whether they happened."""

import pytest

from controlplane.kit.models import Event
from runs import reconcile, services
from runs.models import Effect, Run, Step
from runs.reconcile import Word
from tests.engine import functions
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import called, die
from tools.calls import ToolError

CHECK = {
    "tool": "ledger",
    "arguments": {"name": "${arguments.name}", "key": "${key}"},
    "done": "output.happened",
    "not_done": None,
    "output": {"n": "${output.n}"},
}


@pytest.fixture
def pay(house: House, name: str) -> str:
    """A checkable tool `pay`, whose check is `ledger`, and one whose call is made on a loop."""
    house.tool("ledger")
    for slug, function in (("pay", "held"), ("pay_io", "held_io"), ("flaky", "counted")):
        house.tool(slug, function, effect_class="checkable", effect_check=CHECK)
    return name


def crashed(house: House, name: str, tool: str = "pay", **fields: object) -> Run:
    """A run whose worker died in the middle of its call; another worker and a ticker live."""
    worker = house.worker()
    nodes = {"a": call(tool, name=name, **fields), "b": {"set": {"of": "${steps.a.output}"}}}
    run = house.start(graph(nodes, "a>b", output={"of": "${steps.b.output.of}"}))
    called(house, name, 1)
    die(worker)
    house.worker()
    house.ticker()
    return run


@pytest.mark.parametrize("tool", ["pay", "pay_io"])
def test_a_call_that_happened_is_found_and_never_made_again(
    house: House, pay: str, gate, tool: str
) -> None:
    run = house.ended(crashed(house, pay, tool))
    assert (run.status, run.output, functions.CALLS[pay]) == ("succeeded", {"of": {"n": 1}}, 1)
    effect = Effect.objects.get(run=run)
    assert (effect.state, effect.result, effect.checked["verdict"]) == ("done", {"n": 1}, "done")
    assert functions.KEYS[f"ledger-{pay}"] == [effect.key]
    told = Event.objects.get(subject_id=run.pk, type="tool.called").data
    assert (told["tool"], told["checks"], told["verdict"]) == ("ledger", tool, "done")


def test_a_call_that_did_not_happen_is_made_again_under_its_key(
    house: House, pay: str, gate
) -> None:
    functions.SAID[pay] = {"happened": False}
    run = crashed(house, pay)
    called(house, pay, 2)
    gate.set()
    run = house.ended(run)
    assert (run.status, run.output, functions.CALLS[pay]) == (
        "succeeded",
        {"of": {"done": True}},
        2,
    )
    assert len(set(functions.KEYS[pay])) == 1
    assert Effect.objects.get(run=run).state == "done"
    assert house.steps(run)["a"].attempt == 2


def test_a_call_nobody_can_tell_of_waits_for_a_person(house: House, pay: str, gate) -> None:
    functions.SAID[pay] = ToolError("no such order", code="http_404", fate="answered")
    run = house.rests(crashed(house, pay), "waiting")
    house.stands(run, "a", "waiting")
    house.until(lambda: house.steps(run)["a"].reason == "reconcile", 5, "not before a person")
    effect = Effect.objects.get(run=run)
    assert (effect.state, effect.checked["why"]) == ("unknown", "no such order")
    house.check([run.pk])
    reconcile.resolve(effect, Word("done", output={"n": 9}), actor=house.user)
    assert house.ended(run).output == {"of": {"n": 9}}
    assert functions.CALLS[pay] == 1


def test_a_check_that_is_away_is_asked_again(house: House, pay: str, gate) -> None:
    functions.SAID[pay] = ToolError("busy", code="http_503", retryable=True)
    run = crashed(house, pay)
    house.until(lambda: functions.CALLS[f"ledger-{pay}"] >= 2, 10, "asked once only")
    del functions.SAID[pay]
    run = house.ended(run)
    assert (run.status, functions.CALLS[pay]) == ("succeeded", 1)


@pytest.mark.parametrize(("happened", "calls"), [(True, 1), (False, 2)])
def test_a_call_with_an_unknown_outcome_is_asked_about(
    house: House, pay: str, happened: bool, calls: int
) -> None:
    """Its connection broke after it was sent; the retry rule decides over a call that did not
    happen."""
    functions.SAID[pay] = {"happened": happened, "n": 5}
    node = call("flaky", name=pay, failures=1, fate="unknown")
    run = house.run(graph({"a": {**node, "retry": {"max_attempts": 2, "backoff_seconds": 0.1}}}))
    assert (run.status, functions.CALLS[pay]) == ("succeeded", calls)
    assert len(set(functions.KEYS[pay])) == 1


def test_without_tries_left_a_call_that_did_not_happen_fails_its_step(
    house: House, pay: str
) -> None:
    functions.SAID[pay] = {"happened": False}
    run = house.run(graph({"a": call("flaky", name=pay, failures=9, fate="unknown")}))
    assert (run.status, run.error["code"], functions.CALLS[pay]) == ("failed", "flaky", 1)
    assert "did not happen" in run.error["message"]
    assert not Effect.objects.filter(run=run).exists()


@pytest.mark.parametrize("tool", ["pay", "pay_io"])
def test_a_call_cut_off_by_the_time_limit_of_its_step_is_asked_about(
    house: House, pay: str, gate, tool: str
) -> None:
    run = house.run(graph({"a": call(tool, name=pay, timeout_seconds=0.4)}))
    assert (run.status, functions.CALLS[pay]) == ("succeeded", 1)
    assert house.steps(run)["a"].output == {"n": 1}


def test_a_run_cancelled_while_its_call_is_in_doubt_leaves_it_to_a_person(
    house: House, pay: str, gate
) -> None:
    functions.SAID[pay] = ToolError("busy", code="http_503", retryable=True)
    run = crashed(house, pay)
    house.until(
        lambda: Step.objects.filter(run=run, reason="checking").exists(), 10, "not checking"
    )
    services.cancel(run, actor=house.user)
    run = house.ended(run)
    assert (run.status, Effect.objects.get(run=run).state) == ("cancelled", "unknown")


def test_a_check_that_may_change_things_by_now_is_not_asked(house: House, pay: str, gate) -> None:
    house.tool("risky", "counted")
    house.tool("pay2", "held", effect_class="checkable", effect_check={**CHECK, "tool": "risky"})
    run = crashed(house, pay, "pay2")
    house.until(lambda: Step.objects.filter(run=run, reason="reconcile").exists(), 10, "asked")
    assert "may change something" in Effect.objects.get(run=run).checked["why"]
    assert functions.CALLS[pay] == 1


def test_without_a_check_a_person_is_asked(house: House, name: str, gate) -> None:
    house.tool("bare", "held", effect_class="checkable")
    run = crashed(house, name, "bare")
    house.until(lambda: Step.objects.filter(run=run, reason="reconcile").exists(), 10, "not asked")
    assert functions.CALLS[name] == 1


def test_a_persons_word_before_the_check_answers_stands(house: House, pay: str, gate) -> None:
    functions.SAID[pay] = ToolError("busy", code="http_503", retryable=True)
    run = crashed(house, pay)
    house.until(
        lambda: Step.objects.filter(run=run, reason="checking").exists(), 10, "not checking"
    )
    effect = Effect.objects.get(run=run)
    reconcile.resolve(effect, Word("done", output={"n": 3}), actor=house.user)
    del functions.SAID[pay]
    assert house.ended(run).output == {"of": {"n": 3}}
    assert functions.CALLS[pay] == 1

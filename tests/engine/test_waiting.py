"""Steps that wait hold nothing: timers, signals, forms, approvals, and failing on purpose."""

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.kit.errors import DomainError, InvalidInput, InvalidTransition
from governance import approvals
from governance.models import Approval
from runs import messages, questions, services
from runs.models import Run, Signal
from tests.engine.house import House, graph

ASK = {"kind": "approval", "title": "Send it?", "show": "${input.text}"}


def test_a_wait_takes_its_seconds_and_holds_no_worker(house: House) -> None:
    worker = house.worker()
    house.ticker()
    run = house.start(graph({"a": {"kind": "wait", "seconds": 0.6}, "b": {}}, "a>b"))
    run = house.rests(run, "waiting")
    house.until(lambda: not worker.engine.working, 2, "the worker still holds the step")
    run = house.ended(run)
    step = house.steps(run)["a"]
    assert (run.status, step.attempt, step.output) == ("succeeded", 1, None)
    assert (step.ended_at - step.started_at).total_seconds() >= 0.6


def test_a_moment_that_has_passed_is_not_waited_for(house: House) -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    run = house.run(graph({"a": {"kind": "wait", "until": past}}))
    assert ("step.waiting", "a") not in house.events(run)


def test_failing_on_purpose_fails_the_run_with_its_message(house: House) -> None:
    run = house.run(
        graph({"a": {"kind": "fail", "message": "No ${input.what} left"}}), input={"what": "tea"}
    )
    assert (run.status, run.reason) == ("failed", "failed_on_purpose")
    assert run.error["message"] == "No tea left"


def test_a_signal_wakes_the_step_with_its_body(house: House) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": {"kind": "signal", "name": "go"}}))
    house.stands(run, "a", "waiting")
    messages.signal(run, "go", {"n": 7}, actor=house.user)
    run = house.ended(run)
    assert house.steps(run)["a"].output == {"n": 7}


def test_a_signal_that_comes_early_is_kept(house: House) -> None:
    run = house.start(
        graph({"w": {"kind": "wait", "seconds": 0.2}, "a": {"kind": "signal", "name": "go"}}, "w>a")
    )
    messages.signal(run, "go", [1, 2], actor=house.user)
    house.worker()
    house.ticker()
    assert house.steps(house.ended(run))["a"].output == [1, 2]


def test_a_signal_that_does_not_come_in_time_fails_the_step(house: House) -> None:
    run = house.run(graph({"a": {"kind": "signal", "name": "go", "due_seconds": 1}}))
    assert (run.status, run.reason) == ("failed", "expired")


def test_32_signals_at_once_resume_one_step_once(house: House) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": {"kind": "signal", "name": "go"}}))
    house.stands(run, "a", "waiting")

    def send(number: int) -> None:
        # The ones after the run has ended are refused.
        with contextlib.suppress(InvalidTransition):
            messages.signal(run, "go", number, actor=house.user)
        house.close()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run = house.ended(run)
    assert house.events(run).count(("step.succeeded", "a")) == 1
    assert Signal.objects.filter(run=run).exclude(taken_by=None).count() == 1


FORM = {
    "kind": "form",
    "title": "Which size?",
    "schema": {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "required": ["size"],
    },
}


def test_a_form_takes_answers_that_fit_its_schema(house: House) -> None:
    house.worker()
    run = house.start(graph({"a": FORM}))
    step = house.stands(run, "a", "waiting")
    with pytest.raises(InvalidInput):
        messages.answer(run, step, {"size": "big"}, actor=house.user)
    messages.answer(run, step, {"size": 4}, actor=house.user)
    run = house.ended(run)
    assert house.steps(run)["a"].output == {"size": 4}
    with pytest.raises(DomainError) as refused:
        messages.answer(run, step, {"size": 5}, actor=house.user)
    assert refused.value.code == "not_waiting"


def asked(house: House, run: Run) -> Approval:
    house.stands(run, "a", "waiting")
    return Approval.objects.get(run_id=run.pk)


def test_an_approval_goes_on_with_the_word_of_a_person(house: House) -> None:
    house.worker()
    run = house.start(graph({"a": ASK, "b": {}}, "a>b"), input={"text": "Hello"})
    approval = asked(house, run)
    assert approval.packet["show"] == "Hello"
    approvals.decide(approval, actor=house.user, action="approve", comment="fine")
    run = house.ended(run)
    output = house.steps(run)["a"].output
    assert (output["approved"], output["comment"]) == (True, "fine")
    events = [kind for kind, _ in house.events(run)]
    assert events.index("approval.requested") < events.index("approval.decided")


def test_a_rejected_approval_fails_the_run(house: House) -> None:
    house.worker()
    run = house.start(graph({"a": ASK, "b": {}}, "a>b"), input={"text": "Hello"})
    approvals.decide(asked(house, run), actor=house.user, action="reject", comment="no")
    run = house.ended(run)
    assert (run.status, run.reason, house.statuses(run)["b"]) == ("failed", "rejected", "cancelled")


def test_a_rejected_approval_that_an_edge_asks_about_goes_on(house: House) -> None:
    house.worker()
    definition = graph(
        {"a": ASK, "yes": {}, "no": {}},
        "a>yes:steps.a.output.approved",
        "a>no:!steps.a.output.approved",
    )
    run = house.start(definition, input={"text": "Hello"})
    approvals.decide(asked(house, run), actor=house.user, action="reject", comment="no")
    run = house.ended(run)
    assert house.statuses(run) == {"a": "succeeded", "yes": "skipped", "no": "succeeded"}


def test_cancelling_a_run_that_waits_for_a_person_ends_it(house: House) -> None:
    house.worker()
    run = house.start(graph({"a": ASK}), input={"text": "Hello"})
    approval = asked(house, run)
    assert services.cancel(run, actor=house.user).status == "cancelled"
    approval.refresh_from_db()
    assert approval.status == "cancelled"
    house.check([run.pk])


def test_a_question_of_a_run_that_failed_is_taken_back(house: House) -> None:
    house.worker()
    stop = {"kind": "fail", "message": "enough"}
    run = house.start(graph({"a": ASK, "w": {"kind": "wait", "seconds": 0.3}, "f": stop}, "w>f"),
                      input={"text": "Hello"})  # fmt: skip
    approval = asked(house, run)
    house.ticker()
    assert house.ended(run).status == "failed"
    questions.take_back_orphans()
    approval.refresh_from_db()
    assert approval.status == "cancelled"

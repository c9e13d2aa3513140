"""One true sentence for every state and for everything a step may wait for."""

from datetime import UTC, datetime

import pytest

from runs.explain import Moment, OpenStep, QueueFacts, explain
from runs.states import RunStatus

AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
WHEN = "2026-03-01 12:30:05 UTC"


def waiting(reason: str, **fields: object) -> str:
    step = OpenStep("Load", "waiting", reason, **fields)
    return explain("waiting", moment=Moment([step], {"waiting": 1}))


def queued(**facts: object) -> str:
    step = OpenStep("Load", "ready", queue=QueueFacts(**facts))
    return explain("queued", moment=Moment([step], {"ready": 1}))


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_state_has_a_sentence(status: str) -> None:
    assert explain(status, reason="deadline").strip()


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "waiting for a free worker"),
        ({"workers": 0}, "no worker is alive to take it"),
        ({"workers": 0, "agent": "Packer"}, "no instance of Packer is alive to take it"),
        ({"workers": 1}, "next in line; 1 worker is alive and busy"),
        ({"workers": 1, "free": 2}, "about to be taken by a worker"),
        ({"workers": 2, "ahead": 1, "counted_to": 9}, "behind 1 other step; 2 workers are alive"),
        (
            {"workers": 2, "ahead": 100, "counted_to": 100, "agent": "Packer"},
            "behind at least 100 other steps; 2 instances of Packer are alive",
        ),
    ],
)
def test_a_queued_run_says_who_could_take_it_and_what_stands_before_it(facts, sentence) -> None:
    assert queued(**facts) == f"Queued: {sentence}."


@pytest.mark.parametrize(
    ("sentence", "reason", "fields"),
    [
        ("waits until " + WHEN, "timer", {"wake_at": AT}),
        ("waits for the signal go until " + WHEN, "signal", {"what": "go", "wake_at": AT}),
        ("waits for the signal go", "signal", {"what": "go"}),
        ("waits for somebody's answers to “Ship?”", "form", {"what": "Ship?"}),
        ("waits for an approval by anybody who may approve", "approval", {}),
        (
            f"waits for an approval by Ana, admin (1 of 2 so far), due {WHEN}",
            "approval",
            {"approval": {"assignees": ["Ana", "admin"], "quorum": 2, "approved": 1, "due_at": AT}},
        ),
        (
            f"failed (The host is gone) and is tried again at {WHEN}, for try 3",
            "backoff",
            {"error": "The host is gone.", "wake_at": AT, "attempt": 2},
        ),
        (
            "may or may not have called pay; a person must say so under Reconcile",
            "reconcile",
            {"what": "pay"},
        ),
        (
            "waits for its place under the rate limit of pay until " + WHEN,
            "rate_limited",
            {"what": "pay", "wake_at": AT},
        ),
        ("waits for another run", "child", {}),
        ("waits for a run of Pack, which is paused", "child", {"what": "Pack, which is paused"}),
        ("waits", "something new", {}),
    ],
)
def test_a_waiting_run_names_the_step_and_what_it_waits_for(sentence, reason, fields) -> None:
    assert waiting(reason, **fields) == f"Load {sentence}."


def test_a_parked_step_is_said_first_and_the_others_are_counted() -> None:
    steps = [OpenStep("Ask", "waiting", "form"), OpenStep("Load", "parked", crash_count=3)]
    sentence = explain("waiting", moment=Moment(steps, {"waiting": 4, "parked": 1}))
    assert sentence == (
        "Load is parked: its worker died three times on it; replay or cancel it. "
        "4 other steps wait too."
    )


def test_of_a_map_that_waits_what_waits_in_it_is_said() -> None:
    steps = [OpenStep("All", "waiting", "items"), OpenStep("Ask", "waiting", "signal", what="go")]
    sentence = explain("waiting", moment=Moment(steps, {"waiting": 2}))
    assert sentence == "Ask waits for the signal go. 1 other step waits too."


def test_a_running_run_names_up_to_three_steps() -> None:
    steps = [OpenStep(name, "running") for name in "ABCD"]
    assert explain("running", moment=Moment(steps, {"running": 9})) == (
        "Working on A, B, C and 6 more."
    )
    ready = OpenStep("E", "ready", queue=QueueFacts(workers=0))
    assert explain("running", moment=Moment([ready], {"ready": 1})) == (
        "E is ready: no worker is alive to take it."
    )
    assert explain("running") == "Running."


def test_a_paused_run_and_one_that_stops_name_what_still_works() -> None:
    moment = Moment([OpenStep("A", "running")], {"running": 1})
    assert explain("paused", moment=moment) == (
        "Paused: A may finish, nothing new starts until it is resumed."
    )
    assert explain("cancelling", moment=moment) == "Stopping: A is told to stop."


def test_a_failed_run_says_where_and_why() -> None:
    error = {"node": "load", "code": "x", "message": "The host is gone."}
    assert explain("failed", error=error) == "load: The host is gone."
    assert explain("failed", error={"message": "No output."}) == "No output."
    assert explain("failed", reason="step_failed") == "step_failed"


def test_a_cancelled_run_gives_the_reason_if_there_is_one() -> None:
    assert explain("cancelled", error={"message": "not needed"}) == "Cancelled: not needed"
    assert explain("cancelled") == "Cancelled."

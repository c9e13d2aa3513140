"""One true sentence for every state."""

import pytest

from runs.explain import REASONS, explain
from runs.states import RunStatus


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_state_has_a_sentence(status: str) -> None:
    assert explain(status, reason="deadline").strip()


def test_a_queued_run_says_whether_anybody_could_take_it() -> None:
    assert explain("queued", workers=0) == "Queued: no worker is alive to take it."
    assert explain("queued", workers=2) == explain("queued") == "Queued: waiting for a free worker."


@pytest.mark.parametrize("reason", REASONS)
def test_a_waiting_run_names_the_step_and_what_it_waits_for(reason: str) -> None:
    steps = {"Load": ("running", ""), "Ask": ("waiting", reason)}
    assert explain("waiting", steps=steps) == f"Ask {REASONS[reason]}."


def test_a_parked_step_is_what_a_run_waits_for() -> None:
    assert "died three times" in explain("waiting", steps={"Load": ("parked", "crashed")})


def test_a_running_run_names_up_to_three_steps() -> None:
    steps = dict.fromkeys("ABCD", ("running", "")) | {"E": ("ready", "")}
    assert explain("running", steps=steps) == "Working on A, B, C."
    assert explain("running", steps={"E": ("ready", "")}) == "Running."


def test_a_failed_run_says_where_and_why() -> None:
    error = {"node": "load", "code": "x", "message": "The host is gone."}
    assert explain("failed", error=error) == "load: The host is gone."
    assert explain("failed", error={"message": "No output."}) == "No output."
    assert explain("failed", reason="step_failed") == "step_failed"


def test_a_cancelled_run_gives_the_reason_if_there_is_one() -> None:
    assert explain("cancelled", error={"message": "not needed"}) == "Cancelled: not needed"
    assert explain("cancelled") == "Cancelled."

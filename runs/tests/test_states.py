"""The tables of states."""

import pytest

from runs.states import (
    RUN_MOVES,
    RUN_TERMINAL,
    STEP_MOVES,
    STEP_TERMINAL,
    RunStatus,
    StepStatus,
)


@pytest.mark.parametrize(
    ("states", "moves"), [(RunStatus, RUN_MOVES), (StepStatus, STEP_MOVES)], ids=["run", "step"]
)
def test_every_state_has_its_moves_and_leads_nowhere_else(states, moves) -> None:
    assert set(moves) == set(states)
    assert set().union(*moves.values()) <= set(states)
    assert not any(state in targets for state, targets in moves.items())


def test_terminal_states_never_reopen() -> None:
    assert set(RUN_TERMINAL) == {"succeeded", "failed", "cancelled", "timed_out"}
    assert set(STEP_TERMINAL) == {"succeeded", "failed", "skipped", "cancelled"}


@pytest.mark.parametrize(
    ("moves", "terminal"), [(RUN_MOVES, RUN_TERMINAL), (STEP_MOVES, STEP_TERMINAL)]
)
def test_every_state_can_reach_an_end(moves, terminal) -> None:
    reached = set(terminal)
    while more := {s for s, targets in moves.items() if targets & reached} - reached:
        reached |= more
    assert reached == set(moves)


def test_a_cancelling_run_does_not_succeed_nor_go_on() -> None:
    assert RUN_MOVES["cancelling"] == {"cancelled", "failed", "timed_out"}

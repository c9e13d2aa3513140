"""Places in time: never more than the limit in any window, whoever asks when."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tools.slots import add, lateness, place


def most_in_a_window(moments, seconds):
    moments = sorted(moments)
    first = 0
    most = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(
    limit=st.integers(1, 30),
    per_seconds=st.sampled_from([0.1, 1, 7.5, 60]),
    seed=st.integers(0, 2**32),
    crowding=st.sampled_from([0.0, 0.05, 0.4, 2.0]),
)
def test_no_window_holds_more_than_the_limit(limit, per_seconds, seed, crowding):
    chance = random.Random(seed)  # noqa: S311
    gaps = [chance.random() * crowding for _ in range(200)]
    graces = [chance.random() for _ in range(200)]
    runs, now, calls = [], 1_700_000_000.0, []
    numbers = {"limit": limit, "per_seconds": per_seconds}
    for gap, grace in zip(gaps, graces, strict=True):
        now += gap * per_seconds
        at = place(runs, now, **numbers)
        assert at >= now
        runs = add(runs, at, **numbers)
        # A call may begin as late as it likes within its grace.
        calls.append(at + grace * lateness(per_seconds))
    assert most_in_a_window(calls, per_seconds) <= limit
    # However many asked, little is kept of it.
    assert len(runs) <= min(limit, 130) + 1


def test_nobody_waits_below_the_limit_and_the_next_waits_a_window():
    numbers = {"limit": 3, "per_seconds": 1}
    runs = []
    for _ in range(3):
        assert place(runs, 100.0, **numbers) == 100.0
        runs = add(runs, 100.0, **numbers)
    later = place(runs, 100.0, **numbers)
    assert 101.0 <= later < 101.1
    # As much goes through as the limit says, less the grace.
    asked = [100.0]
    for _ in range(300):
        at = place(runs, 100.0, **numbers)
        runs = add(runs, at, **numbers)
        asked.append(at)
    assert 300 / (asked[-1] - 100) > 2.8


def test_a_raised_limit_holds_at_once():
    low, high = {"limit": 1, "per_seconds": 1}, {"limit": 5, "per_seconds": 1}
    runs = add([], 100.0, **low)
    assert place(runs, 100.5, **low) > 101
    assert place(runs, 100.5, **high) == 100.5

"""The decision on how many instances there should be."""

import pytest

from agents.scaling import Bounds, Memory, Signal, decide

BOUNDS = Bounds(least=1, most=5, concurrency=4, cooldown_seconds=300)


@pytest.mark.parametrize(
    ("queued", "running", "desired", "wanted"),
    [
        (0, 0, 1, 1),
        (0, 3, 1, 1),
        (1, 3, 1, 2),  # 4 / (4 × 0.8) is more than one
        (6, 4, 1, 4),  # 10 / 3.2 = 3.1
        (100, 0, 1, 5),  # not above the most
        (0, 0, 3, 3),  # in only after the cooldown
        (0, 0, 9, 5),  # somebody set it outside the bounds
    ],
)
def test_the_work_says_how_many(queued: int, running: int, desired: int, wanted: int) -> None:
    found = decide(Signal(queued, running), BOUNDS, desired, Memory(), 0)
    assert found.desired == wanted
    assert bool(found.reason) == (wanted != desired)


def test_one_more_where_the_oldest_has_waited_too_long() -> None:
    found = decide(Signal(queued=1, running=0, oldest_seconds=31), BOUNDS, 2, Memory(), 0)
    assert found.desired == 3
    assert "has waited 31 s, longer than 30 s" in found.reason


def test_in_only_after_the_cooldown_and_to_the_most_that_was_needed() -> None:
    memory, desired, seen = Memory(), 4, []
    for second, queued in [(0, 12), (100, 6), (299, 0), (301, 0), (402, 0)]:
        made = decide(Signal(queued=queued), BOUNDS, desired, memory, second)
        desired = made.desired
        seen.append(desired)
    assert seen == [4, 4, 4, 2, 1]
    assert made.reason == "for 300 s no more than 1 was needed"


def test_not_out_while_the_provider_throttles_and_it_says_so() -> None:
    held = Signal(queued=20, calls=100, throttled=6)
    found = decide(held, BOUNDS, 2, Memory(), 0)
    assert (found.desired, found.is_refused) == (2, True)
    assert "throttles 6% of the calls" in found.reason
    few = decide(Signal(queued=20, calls=100, throttled=5), BOUNDS, 2, Memory(), 0)
    assert (few.desired, few.is_refused) == (5, False)

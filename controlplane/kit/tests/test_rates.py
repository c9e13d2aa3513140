"""Counting against a limit, alone and together."""

import pytest
import redis
import time_machine

from controlplane.kit import rates
from tests.support import session

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def clock():
    """The first second of a window; a Redis with nothing counted."""
    session.valkey()
    rates._client().flushall()
    rates.forget()
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller
    rates._away_until = 0.0


def hits(times: int, **options) -> list[int]:
    return [rates.hit("k", limit=3, seconds=60, **options) for _ in range(times)]


def test_the_limit_is_kept_and_the_wait_named(clock):
    assert hits(5) == [0, 0, 0, 60, 60]
    clock.shift(59)
    assert hits(1) == [1]
    clock.shift(1)
    assert hits(1) == [0]


def test_keys_are_apart():
    hits(4)
    assert rates.hit("other", limit=3, seconds=60) == 0


def test_asking_does_not_count():
    assert hits(5, hits=0) == [0, 0, 0, 0, 0]
    hits(3)
    assert hits(1, hits=0) == [60]


def test_processes_count_together():
    hits(3)
    rates.forget()  # another process knows nothing of these
    assert hits(1) == [60]


def test_hits_counted_alone_are_told_later():
    assert hits(2, alone=2) == [0, 0]
    assert rates._client().keys("*rate*") == []
    assert hits(2, alone=2) == [0, 60]
    rates.forget()
    assert hits(1) == [60]


def test_without_redis_the_process_counts_for_itself(monkeypatch):
    asked = []

    class Away:
        def incrby(self, *args):
            asked.append(args)
            raise redis.ConnectionError

    monkeypatch.setattr(rates, "_client", Away)
    assert hits(5) == [0, 0, 0, 60, 60]
    assert len(asked) == 1, "a Redis that is away is left alone for a while"


def test_many_keys_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(rates, "LARGEST", 10)
    for n in range(100):
        rates.hit(f"k{n}", limit=3, seconds=60, alone=1)
    assert len(rates._counts) <= 11

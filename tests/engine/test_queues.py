"""Queues as they are, and parked steps that are put back to work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.kit.errors import DomainError
from governance.models import AuditEntry
from runs import services
from runs.models import Run, Step
from runs.queues import Queue, queues_of, replay
from tests.engine import functions
from tests.engine.house import House, call, chain, graph
from tests.engine.test_recovery import called, die

THREADS = 32


@pytest.fixture
def parked(house: House, name: str, gate) -> Callable[[], Run]:
    """A run one of whose steps was parked; no worker is alive."""

    def make() -> Run:
        worker = house.worker()
        run = house.start(graph({"a": call("held_read", name=name), "b": {}}, "a>b"))
        called(house, name, 1)
        Step.objects.filter(run=run, node="a").update(crash_count=2)
        die(worker)
        house.ticker()
        house.stands(run, "a", "parked")
        gate.set()
        return run

    return make


def shared(house: House) -> Queue:
    return next(q for q in queues_of([house.project.pk]) if q.name == "shared")


def test_a_replayed_run_goes_on_where_it_was_parked(house: House, parked) -> None:
    run = replay(parked(), actor=house.user)
    assert run.status == "running"
    house.worker()
    run = house.ended(run)
    assert (run.status, house.steps(run)["a"].crash_count) == ("succeeded", 0)
    audited = AuditEntry.objects.get(action="run.replayed", target_id=str(run.pk))
    assert audited.after == {"steps": ["a"]}
    with pytest.raises(DomainError) as refused:
        replay(run, actor=house.user)
    assert refused.value.code == "run_ended"


def test_of_32_replays_at_once_one_counts(house: House, parked) -> None:
    run = parked()

    def one(_: int) -> str:
        try:
            return replay(run, actor=house.user).status
        except DomainError as exc:
            return exc.code
        finally:
            house.close()

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(one, range(THREADS)))
    assert answers.count("not_parked") == THREADS - 1
    house.check([run.pk])
    house.worker()
    house.ended(run)


def test_the_figures_of_a_queue_are_those_of_its_project(house: House, name: str, gate) -> None:
    empty = shared(house)
    assert (empty.depth, empty.oldest_seconds, empty.running, empty.parked) == (0, None, 0, 0)
    runs = [house.start(chain(2)) for _ in range(5)]
    services.pause(runs[4], actor=house.user)
    long_ago = timezone.now() - timedelta(seconds=90)
    Step.objects.filter(run=runs[0], node="s0").update(ready_at=long_ago)
    queue = shared(house)
    assert (queue.depth, queue.held, queue.running) == (4, 1, 0)
    assert 90 <= queue.oldest_seconds < 120
    held = house.start(graph({"a": call("held_read", name=name)}))
    house.worker()
    house.ended(*runs[:4])
    called(house, name, 1)
    queue = shared(house)
    assert (queue.depth, queue.held, queue.running) == (0, 1, 1)
    assert (queue.workers - empty.workers, queue.capacity - empty.capacity) == (1, 4)
    assert 8 / 60 <= queue.rate <= 8
    gate.set()
    house.ended(held)
    assert functions.CALLS[name] == 1


def test_what_was_parked_is_counted_until_its_run_is_cancelled(house: House, parked) -> None:
    run = parked()
    assert (shared(house).parked, shared(house).parked_runs) == (1, 1)
    services.cancel(run, actor=house.user)
    assert shared(house).parked == 0

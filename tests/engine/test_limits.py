"""Limits of workflows: how many of their runs are at work at once, in all and by a key."""

from collections import Counter
from typing import Any

import pytest

from controlplane.kit.errors import InvalidInput
from runs import services
from runs.models import Run
from tests.engine.house import House, call, graph
from workflows.models import Workflow

SLOW = graph({"a": call("sleep", seconds=0.05), "b": call("noop")}, "a>b")
AT_WORK = ("running", "waiting", "cancelling")


def limited(house: House, definition: dict[str, Any] = SLOW, **limits: Any) -> Workflow:
    workflow = house.workflow(definition)
    Workflow.objects.filter(pk=workflow.pk).update(**limits)
    return Workflow.objects.get(pk=workflow.pk)


def most_at_work(house: House, runs: list[Run], key: str | None = None) -> int:
    """The most runs seen at work at once until all have ended, in all or of one customer."""
    ids, most = [run.pk for run in runs], 0

    def is_over() -> bool:
        nonlocal most
        rows = Run.objects.filter(pk__in=ids).values_list("status", "input")
        busy = Counter(data.get("customer") for status, data in rows if status in AT_WORK)
        most = max(most, *busy.values(), 0) if key else max(most, busy.total())
        return all(status not in (*AT_WORK, "queued") for status, _ in rows)

    house.until(is_over, 30, lambda: house.tell(ids))
    house.ended(*runs)
    return most


def test_no_more_runs_are_at_work_than_the_limit_and_all_are_done(house: House) -> None:
    house.worker(threads=8)
    house.ticker()
    workflow = limited(house, concurrency_limit=2)
    runs = [house.start(workflow) for _ in range(7)]
    assert most_at_work(house, runs) == 2
    assert not Run.objects.filter(pk__in=[r.pk for r in runs]).exclude(status="succeeded").exists()


def test_a_key_limits_the_runs_of_each_of_its_values(house: House) -> None:
    house.worker(threads=8)
    house.ticker()
    workflow = limited(house, concurrency_key="input.customer", concurrency_key_limit=1)
    runs = [house.start(workflow, input={"customer": n % 2}) for n in range(6)]
    assert most_at_work(house, runs, key="customer") == 1


def test_the_next_is_the_one_of_highest_priority_then_the_oldest(house: House) -> None:
    house.worker()
    house.ticker()
    workflow = limited(house, concurrency_limit=1)
    first, late, older, urgent = (house.start(workflow, priority=p) for p in (0, -1, 0, 5))
    house.ended(first, late, older, urgent)
    began = Run.objects.filter(workflow=workflow).order_by("started_at")
    assert [run.pk for run in began] == [first.pk, urgent.pk, older.pk, late.pk]


def test_a_held_run_says_why_and_is_let_in_when_the_limit_rises(house: House, name: str) -> None:
    house.worker()
    house.ticker()
    workflow = limited(house, graph({"s": {"kind": "signal", "name": "go"}}), concurrency_limit=1)
    house.rests(house.start(workflow), "waiting")
    held = house.start(workflow)
    assert (held.status, held.reason, held.busy_steps) == ("queued", "concurrency", 0)
    Workflow.objects.filter(pk=workflow.pk).update(concurrency_limit=None)
    assert house.rests(held, "waiting").reason == ""


def test_a_held_run_can_be_cancelled_and_makes_no_room(house: House) -> None:
    house.worker()
    house.ticker()
    workflow = limited(house, graph({"s": {"kind": "signal", "name": "go"}}), concurrency_limit=1)
    first = house.start(workflow)
    house.rests(first, "waiting")
    held, next_one = house.start(workflow), house.start(workflow)
    services.cancel(held, actor=house.user)
    assert house.ended(held).status == "cancelled"
    services.cancel(first, actor=house.user)
    assert house.rests(next_one, "waiting").reason == ""


def test_a_held_run_that_is_paused_is_let_in_after_it_goes_on(house: House) -> None:
    house.worker()
    house.ticker()
    workflow = limited(house, concurrency_limit=1)
    first, held = house.start(workflow), house.start(workflow)
    services.pause(held, actor=house.user)
    house.ended(first)
    assert Run.objects.get(pk=held.pk).status == "paused"
    services.resume(held, actor=house.user)
    assert house.ended(held).status == "succeeded"


def test_an_input_without_the_key_is_refused_and_nothing_is_saved(house: House) -> None:
    workflow = limited(house, concurrency_key="input.customer", concurrency_key_limit=1)
    with pytest.raises(InvalidInput, match="concurrency key"):
        house.start(workflow, input={})
    assert not Run.objects.filter(workflow=workflow).exists()

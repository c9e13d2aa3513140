"""Cancelling, pausing, resuming, retrying, batches, priorities and deadlines."""

import threading
import time
from typing import Any

import pytest

from controlplane.kit.errors import InvalidInput, InvalidTransition
from governance.models import AuditEntry
from runs import services
from runs.models import Effect, Run
from tests.engine import functions
from tests.engine.house import House, call, chain, graph

SLOW = {"max_attempts": 3, "backoff_seconds": 60}


def cancel(house: House, run: Run, reason: str = "") -> Run:
    return services.cancel(run, actor=house.user, reason=reason)


def audited(run: Run, action: str) -> int:
    return AuditEntry.objects.filter(action=action, target_id=str(run.pk)).count()


# Cancel


def test_a_queued_run_is_cancelled_at_once(house: House) -> None:
    run = cancel(house, house.start(chain(2)), "not needed")
    assert (run.status, run.reason) == ("cancelled", "cancelled")
    assert run.error["message"] == "not needed"
    assert set(house.statuses(run).values()) == {"cancelled"}
    assert audited(run, "run.cancelled") == 1
    house.check([run.pk])


def test_a_waiting_run_is_cancelled_at_once(house: House, name: str) -> None:
    house.worker()
    definition = graph({"a": call("counted_read", name=name, failures=9, retry=SLOW)})
    definition["nodes"][0]["arguments"]["retry_after"] = 60
    run = house.rests(house.start(definition), "waiting")
    assert cancel(house, run).status == "cancelled"
    house.check([run.pk])


@pytest.mark.quiet
@pytest.mark.parametrize("tool", ["held_read", "held_io_read"])
def test_a_read_in_mid_call_is_cut_off(house: House, name: str, gate, tool: str) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call(tool, name=name), "b": {}}, "a>b"))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    began = time.monotonic()
    assert cancel(house, run).status == "cancelling"
    run = house.ended(run, seconds=8)
    assert time.monotonic() - began < 7
    assert (run.status, house.statuses(run)) == ("cancelled", {"a": "cancelled", "b": "cancelled"})


def test_a_tool_that_hears_of_the_cancel_ends_as_cancelled(house: House, name: str, gate) -> None:
    house.worker()
    run = house.start(graph({"a": call("held_read", name=name, hears=True)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    cancel(house, run)
    run = house.ended(run, seconds=8)
    assert (run.status, house.statuses(run)) == ("cancelled", {"a": "cancelled"})


@pytest.mark.quiet
@pytest.mark.parametrize("tool", ["held", "held_io"])
def test_an_unsafe_call_gets_five_seconds_then_its_fate_is_unknown(
    house: House, name: str, gate, tool: str
) -> None:
    worker = house.worker()
    house.ticker()
    run = house.start(graph({"a": call(tool, name=name)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    began = time.monotonic()
    cancel(house, run)
    run = house.ended(run, seconds=9)
    assert 4 < time.monotonic() - began < 8
    assert (run.status, house.steps(run)["a"].reason) == ("cancelled", "forced")
    assert Effect.objects.get(run=run).state == "unknown"
    gate.set()
    house.until(lambda: worker.engine.slots.free == worker.engine.slots.size, 5, "slots leaked")
    house.check([run.pk])


def test_an_unsafe_call_that_ends_in_its_grace_is_kept(house: House, name: str, gate) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("held", name=name), "b": {}}, "a>b"))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    cancel(house, run)
    gate.set()
    run = house.ended(run)
    assert (run.status, house.statuses(run)) == ("cancelled", {"a": "succeeded", "b": "cancelled"})
    assert Effect.objects.get(run=run).state == "done"


@pytest.mark.parametrize("fate", ["answered", "unknown"])
def test_a_call_that_fails_after_the_cancel_is_not_repeated(
    house: House, name: str, gate, fate: str
) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("held", name=name, fails=fate, retry=SLOW)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    cancel(house, run)
    gate.set()
    run = house.ended(run)
    assert (run.status, house.statuses(run)) == ("cancelled", {"a": "cancelled"})


def test_after_a_cancel_no_further_call_starts(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go = threading.Event(), threading.Event()
    worker = house.worker()
    declare = worker.engine.store.declare

    def late(*args: Any) -> Any:
        reached.set()
        go.wait(5)
        return declare(*args)

    monkeypatch.setattr(worker.engine.store, "declare", late)
    run = house.start(graph({"a": call("counted", name=name)}))
    assert reached.wait(5)
    cancel(house, run)
    go.set()
    run = house.ended(run)
    assert (run.status, functions.CALLS[name]) == ("cancelled", 0)
    assert not Effect.objects.filter(run=run).exists()


def test_a_run_that_has_ended_cannot_be_cancelled(house: House) -> None:
    run = house.run(chain(1))
    with pytest.raises(InvalidTransition) as refused:
        cancel(house, run)
    assert refused.value.code == "run_ended"


def test_a_second_cancel_changes_nothing(house: House, name: str, gate) -> None:
    house.worker()
    run = house.start(graph({"a": call("held", name=name)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    first = cancel(house, run)
    assert cancel(house, run).last_seq == first.last_seq
    gate.set()
    house.ended(run)
    assert audited(run, "run.cancelled") == 1


def test_a_worker_that_drains_cancels_what_it_holds_of_a_cancelled_run(
    house: House, name: str, gate
) -> None:
    worker = house.worker()
    run = house.start(graph({"a": call("held_read", name=name)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    cancel(house, run)
    worker.stop()
    assert Run.objects.get(pk=run.pk).status == "cancelled"
    house.check([run.pk])


def test_a_cancel_needs_no_graph_in_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run = house.start(chain(2))
    monkeypatch.setattr("workflows.graph.compiling.compile_graph", None)
    monkeypatch.setattr("workflows.graph.compiling._cache._graphs", {})
    assert cancel(house, run).status == "cancelled"


# Pause and resume


def test_a_paused_run_finishes_what_runs_and_starts_nothing(house: House, name: str, gate) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("held_read", name=name), "b": {}}, "a>b"))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    assert services.pause(run, actor=house.user).status == "paused"
    gate.set()
    house.stands(run, "b", "ready")
    time.sleep(0.2)
    run = Run.objects.get(pk=run.pk)
    assert (run.status, house.statuses(run)) == ("paused", {"a": "succeeded", "b": "ready"})
    house.check([run.pk])
    # By the time of the answer it may have ended.
    assert services.resume(run, actor=house.user).status in ("running", "succeeded")
    run = house.ended(run)
    assert [e for e, _ in house.events(run) if e.startswith("run.")] == [
        "run.queued",
        "run.started",
        "run.paused",
        "run.resumed",
        "run.succeeded",
    ]
    assert (audited(run, "run.paused"), audited(run, "run.resumed")) == (1, 1)


def test_timers_of_a_paused_run_go_on(house: House, name: str) -> None:
    house.worker()
    retry = {"max_attempts": 2, "backoff_seconds": 0.01}
    definition = graph(
        {"a": call("counted_read", name=name, failures=1, retry_after=0.3, retry=retry)}
    )
    run = house.rests(house.start(definition), "waiting")
    services.pause(run, actor=house.user)
    house.ticker()
    house.stands(run, "a", "ready")
    assert Run.objects.get(pk=run.pk).status == "paused"
    services.resume(run, actor=house.user)
    assert house.ended(run).status == "succeeded"


def test_a_run_paused_before_its_start_queues_and_starts_again(house: House) -> None:
    run = house.start(chain(1))
    services.pause(run, actor=house.user)
    assert services.resume(run, actor=house.user).status == "queued"
    house.worker()
    run = house.ended(run)
    assert [e for e, _ in house.events(run) if e.startswith("run.")] == [
        "run.queued",
        "run.paused",
        "run.resumed",
        "run.started",
        "run.succeeded",
    ]


def test_a_waiting_run_waits_again_after_a_pause(house: House, name: str) -> None:
    house.worker()
    definition = graph(
        {"a": call("counted_read", name=name, failures=1, retry_after=60, retry=SLOW)}
    )
    run = house.rests(house.start(definition), "waiting")
    services.pause(run, actor=house.user)
    assert services.resume(run, actor=house.user).status == "waiting"
    house.check([run.pk])


def test_what_cannot_be_paused_or_resumed_says_so(house: House) -> None:
    run = house.run(chain(1))
    for verb, code in ((services.pause, "not_pausable"), (services.resume, "not_paused")):
        with pytest.raises(InvalidTransition) as refused:
            verb(run, actor=house.user)
        assert refused.value.code == code


def test_a_paused_run_can_be_cancelled(house: House) -> None:
    run = house.start(chain(2))
    services.pause(run, actor=house.user)
    assert cancel(house, run).status == "cancelled"
    house.check([run.pk])


# Start


def test_a_key_starts_one_run(house: House) -> None:
    workflow = house.workflow(chain(1))
    request = house.request(workflow, idempotency_key="k1")
    first, is_new = services.start(request, actor=house.user)
    again, is_second = services.start(request, actor=house.user)
    assert (first.pk == again.pk, is_new, is_second) == (True, True, False)
    other = house.request(workflow, idempotency_key="k1", input={"x": 1})
    with pytest.raises(InvalidInput) as refused:
        services.start(other, actor=house.user)
    assert refused.value.code == "idempotency_key_reused"


def test_a_batch_starts_what_it_can_in_one_commit(house: House) -> None:
    schema = {"type": "object", "required": ["n"]}
    workflow = house.workflow({**chain(1), "input_schema": schema})
    requests = [
        house.request(workflow, input={"n": 1}),
        house.request(workflow),
        house.request(workflow, input={"n": 2}),
    ]
    answers = services.start_batch(requests, actor=house.user)
    assert [type(a).__name__ for a in answers] == ["Run", "InvalidInput", "Run"]
    house.worker()
    house.ended(answers[0], answers[2])


def test_a_higher_priority_goes_first(house: House) -> None:
    workflow = house.workflow(graph({"a": call("sleep", seconds=0.02)}))
    runs = [house.start(workflow, priority=p) for p in (0, 5, -5, 9)]
    house.worker(io_slots=1)
    house.ended(*runs)
    started = Run.objects.filter(pk__in=[r.pk for r in runs]).order_by("started_at")
    assert [r.priority for r in started] == [9, 5, 0, -5]


def test_a_run_past_its_deadline_times_out(house: House, name: str, gate) -> None:
    house.worker()
    house.ticker()
    definition = graph({"a": call("held_read", name=name), "b": {}}, "a>b")
    run = house.ended(house.start(definition, deadline_seconds=0.3))
    assert (run.status, run.reason, run.error["code"]) == ("timed_out", "deadline", "deadline")
    assert house.statuses(run) == {"a": "cancelled", "b": "cancelled"}


def test_a_queued_run_past_its_deadline_times_out(house: House) -> None:
    house.ticker()
    run = house.ended(house.start(chain(1), deadline_seconds=0.1))
    assert (run.status, run.started_at) == ("timed_out", None)

"""Workers that die, stop, lose their leases or their database, in this process."""

import threading
import time

import psycopg
import pytest

from agents.models import Instance
from controlplane.kit.database import conninfo
from runs import heart as heart_module
from runs import services
from runs.models import Attempt, Effect, Run, Step
from tests.engine import functions
from tests.engine.house import House, Worker, call, chain, graph


def die(worker: Worker) -> None:
    """As kill -9 does, with the supervisor's word to the engine: nothing is given back."""
    worker.is_stopped = True
    worker.engine.stop()
    worker.heart.stop()
    Instance.objects.filter(pk=worker.instance.pk).update(state=Instance.State.DEAD)


def called(house: House, name: str, count: int) -> None:
    house.until(lambda: functions.CALLS[name] >= count, 5, f"{name} not called {count} times")


def test_a_step_of_a_dead_worker_is_done_again_and_those_before_it_are_not(
    house: House, name: str, gate
) -> None:
    house.tool("first", "counted")
    first = house.worker()
    nodes = {"a": call("first", name=f"{name}-a"), "b": call("held_read", name=name), "c": {}}
    run = house.start(graph(nodes, "a>b", "b>c"))
    called(house, name, 1)
    die(first)
    gate.set()
    house.worker()
    house.ticker()
    run = house.ended(run)
    step = house.steps(run)["b"]
    assert (run.status, step.attempt, step.crash_count) == ("succeeded", 2, 1)
    assert (functions.CALLS[f"{name}-a"], functions.CALLS[name]) == (1, 2)
    kept = Attempt.objects.get(step=step)
    assert (kept.n, kept.status, kept.worker_id) == (1, "crashed", first.instance.pk)
    assert ("step.retrying", "b") in house.events(run)


def test_crashes_use_up_no_attempts(house: House, name: str, gate) -> None:
    first = house.worker()
    run = house.start(graph({"a": call("held_read", name=name)}))
    called(house, name, 1)
    die(first)
    gate.set()
    house.worker()
    house.ticker()
    assert house.ended(run).status == "succeeded"


def test_a_step_that_kills_three_workers_is_parked(house: House, name: str, gate) -> None:
    house.ticker()
    run = house.start(graph({"a": call("held_read", name=name), "b": {}}, "a>b"))
    for crash in range(1, 4):
        worker = house.worker()
        called(house, name, crash)
        die(worker)
        house.until(lambda n=crash: house.steps(run)["a"].crash_count == n, 5, "not recovered")
    run = house.rests(run, "waiting")
    step = house.steps(run)["a"]
    assert (step.status, step.reason) == ("parked", "crashed")
    house.check([run.pk])
    assert services.cancel(run, actor=house.user).status == "cancelled"
    house.check([run.pk])


@pytest.mark.parametrize("tool", ["held", "held_io"])
def test_an_unsafe_call_of_a_dead_worker_waits_for_a_person(
    house: House, name: str, gate, tool: str
) -> None:
    worker = house.worker()
    run = house.start(graph({"a": call(tool, name=name)}))
    called(house, name, 1)
    die(worker)
    house.worker()
    house.ticker()
    run = house.rests(run, "waiting")
    assert house.steps(run)["a"].reason == "reconcile"
    assert (functions.CALLS[name], Effect.objects.get(run=run).state) == (1, "unknown")
    house.check([run.pk])


def test_an_idempotent_call_of_a_dead_worker_is_made_again_with_its_key(
    house: House, name: str, gate
) -> None:
    house.tool("booking", "held", effect_class="idempotent")
    worker = house.worker()
    run = house.start(graph({"a": call("booking", name=name)}))
    called(house, name, 1)
    die(worker)
    gate.set()
    house.worker()
    house.ticker()
    assert house.ended(run).status == "succeeded"
    assert len(functions.KEYS[name]) == 2
    assert len(set(functions.KEYS[name])) == 1


def test_a_call_whose_result_was_kept_is_not_made_again(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker()
    reached = threading.Event()

    def hang(*args: object) -> None:
        reached.set()
        time.sleep(60)

    monkeypatch.setattr(worker.engine.dispatcher, "complete", hang)
    run = house.start(graph({"a": call("counted", name=name)}, output={"n": "${steps.a.output.n}"}))
    assert reached.wait(5)
    worker.is_stopped = True
    worker.heart.stop()
    Instance.objects.filter(pk=worker.instance.pk).update(state=Instance.State.DEAD)
    house.worker()
    house.ticker()
    run = house.ended(run)
    assert (run.status, run.output, functions.CALLS[name]) == ("succeeded", {"n": 1}, 1)


def test_the_cancelled_run_of_a_dead_worker_ends(house: House, name: str, gate) -> None:
    worker = house.worker()
    run = house.start(graph({"a": call("held", name=name), "b": {}}, "a>b"))
    called(house, name, 1)
    die(worker)
    services.cancel(run, actor=house.user)
    house.ticker()
    run = house.ended(run, seconds=3)
    assert (run.status, Effect.objects.get(run=run).state) == ("cancelled", "unknown")


def test_a_stopping_worker_gives_its_steps_back_without_an_attempt(
    house: House, name: str, gate
) -> None:
    worker = house.worker()
    run = house.start(graph({"a": call("held_read", name=name)}))
    called(house, name, 1)
    worker.stop()
    step = Step.objects.get(run=run)
    assert (step.status, step.reason, step.attempt) == ("ready", "released", 0)
    gate.set()
    house.worker()
    assert house.ended(run).status == "succeeded"


def test_a_silent_worker_is_dead_after_eight_seconds(house: House) -> None:
    worker = house.worker(beats=False)
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        conn.execute(
            "UPDATE instance SET last_heartbeat_at = clock_timestamp() - interval '9 s'"
            " WHERE id = %s",
            [worker.instance.pk],
        )
    house.ticker()
    time.sleep(1)
    # Not before the ticker itself has seen a whole threshold pass.
    assert Instance.objects.get(pk=worker.instance.pk).state == Instance.State.READY
    house.until(
        lambda: Instance.objects.get(pk=worker.instance.pk).state == Instance.State.DEAD, 10, "?"
    )


def test_a_worker_that_lost_its_lease_writes_nothing_and_remembers_nothing(
    house: House, name: str, gate
) -> None:
    asleep = house.worker(beats=False)
    definition = graph(
        {
            "a": call("held_read", name=name),
            "b": {"kind": "transform", "set": {"a": "${steps.a.output.done}"}},
            "c": call("sleep", seconds=0.2),
            "d": {"kind": "transform", "set": {"a": "${steps.a.output}"}},
        },
        "a>b",
        "b>c",
        "c>d",
    )
    run = house.start(definition)
    called(house, name, 1)
    asleep.engine.may_claim = False
    Instance.objects.filter(pk=asleep.instance.pk).update(state=Instance.State.DEAD)
    other = house.worker()
    house.ticker()
    called(house, name, 2)
    # From the moment `a` has ended the other takes nothing more; the sleeper goes on with `d`.
    house.until(lambda: house.steps(run)["a"].attempt == 2, 5, "not taken over")
    gate.set()
    house.stands(run, "c", "running")
    other.engine.may_claim = False
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        conn.execute(
            """UPDATE step SET output = '{"true": "one"}' WHERE run_id = %s AND node = 'a'""",
            [run.pk],
        )
    house.until(lambda: not asleep.engine.working, 5, "still at work")
    asleep.engine.may_claim = True
    run = house.ended(run)
    assert house.steps(run)["d"].output == {"a": {"true": "one"}}


def test_a_worker_without_a_heartbeat_starts_nothing_and_then_lets_go(
    house: House, name: str, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart_module, "FENCE_SECONDS", 0.6)
    monkeypatch.setattr(heart_module, "GIVE_UP_SECONDS", 2.0)
    monkeypatch.setattr(heart_module, "BEAT_SECONDS", 0.2)
    worker = house.worker()
    run = house.start(graph({"a": call("held_read", name=name)}))
    called(house, name, 1)

    def broken(*args: object) -> None:
        raise TypeError("no beat")

    monkeypatch.setattr(worker.heart, "_beat", broken)
    house.until(lambda: worker.engine.is_fenced, 3, "not fenced")
    second = house.start(chain(1))
    house.until(lambda: not worker.engine.working, 4, "still holds its lease")
    assert Run.objects.get(pk=second.pk).status == "queued"
    monkeypatch.undo()
    gate.set()
    house.ended(second)
    assert worker.engine.slots.size["cpu"] - worker.engine.slots.free["cpu"] in (0, 1)
    house.check([run.pk])


def test_a_heart_that_stumbles_over_one_step_beats_on(
    house: House, name: str, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart_module, "BEAT_SECONDS", 0.1)
    worker = house.worker()

    def stumbles(*args: object) -> None:
        raise TypeError("this input cannot be written")

    monkeypatch.setattr(worker.heart, "_show_inputs", stumbles)
    house.start(graph({"a": call("held_read", name=name)}))
    called(house, name, 1)
    before = Instance.objects.get(pk=worker.instance.pk).last_heartbeat_at
    house.until(
        lambda: Instance.objects.get(pk=worker.instance.pk).last_heartbeat_at > before, 3, "silent"
    )


def test_a_long_step_shows_its_input_while_it_works(
    house: House, name: str, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart_module, "BEAT_SECONDS", 0.1)
    house.worker()
    run = house.start(graph({"a": call("held_read", name=name)}))
    called(house, name, 1)
    house.until(lambda: house.steps(run)["a"].input == {"name": name}, 3, "not shown")
    assert house.steps(run)["a"].status == "running"


def test_connections_cut_again_and_again_lose_nothing(house: House, name: str) -> None:
    house.tool("many", "counted")
    worker = house.worker()
    house.ticker()
    house.tolerates_outages = True
    runs = []
    for number in range(40):
        runs.append(
            house.start(
                graph(
                    {
                        "a": {},
                        "b": call("many", name=f"{name}-{number}"),
                        "c": call("sleep", seconds=0.01),
                        "d": {},
                    },
                    "a>b",
                    "a>c",
                    "b>d",
                    "c>d",
                )
            )
        )
        with psycopg.connect(conninfo(), autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name = ''"
            )
        house.close()
    house.ended(*runs, seconds=30)
    ended = Run.objects.filter(pk__in=[run.pk for run in runs])
    assert {run.status for run in ended} == {"succeeded"}
    assert {functions.CALLS[f"{name}-{number}"] for number in range(40)} == {1}
    house.until(lambda: worker.engine.slots.free == worker.engine.slots.size, 5, "slots leaked")

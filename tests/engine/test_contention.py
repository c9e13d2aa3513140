"""Runs that several write to at once: locked rows, refused guards, two engines, many threads."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from controlplane.kit.database import conninfo
from controlplane.kit.errors import DomainError
from governance.models import AuditEntry
from runs import services
from runs.models import Run, Step
from tests.engine import functions
from tests.engine.house import House, call, chain, graph

THREADS = 32


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """The row of a run is held by another transaction."""
    with psycopg.connect(conninfo()) as conn:
        conn.execute("SELECT 1 FROM run WHERE id = %s FOR UPDATE", [run.pk])
        yield
        conn.rollback()


def end_while_locked(house: House, run: Run, name: str, gate: threading.Event, **stands: str):
    """Let the held call of `a` end while the run's row is locked; `stands` is how `a` then stands
    before the run is free again."""
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    with locked(run):
        gate.set()
        if stands:
            house.until(
                lambda: Step.objects.filter(run=run, node="a", **stands).exists(),
                5,
                lambda: f"{house.steps(run)['a'].__dict__}",
            )
        else:
            threading.Event().wait(0.3)


def test_an_end_whose_run_is_locked_is_kept_and_decided_when_it_is_free(
    house: House, name: str, gate
) -> None:
    house.worker()
    run = house.start(graph({"a": call("held", name=name), "b": {}}, "a>b"))
    end_while_locked(house, run, name, gate, status="succeeded", undecided=True)
    run = house.ended(run)
    assert run.status == "succeeded"
    assert [e for e in house.events(run) if e[0] == "tool.called"] == [("tool.called", None)]


def test_a_fatal_end_whose_run_is_locked_fails_it(house: House, name: str, gate) -> None:
    house.worker()
    definition = graph({"a": call("held", name=name, fails="answered"), "b": {}}, "a>b")
    run = house.start(definition)
    end_while_locked(house, run, name, gate, status="failed", undecided=True)
    run = house.ended(run)
    assert (run.status, run.reason, run.error["node"]) == ("failed", "late", "a")


def test_an_attempt_to_be_repeated_whose_run_is_locked_is_repeated(
    house: House, name: str, gate
) -> None:
    house.worker()
    house.ticker()
    retry = {"max_attempts": 2, "backoff_seconds": 0.01}
    definition = graph(
        {"a": call("held", name=name, fails="answered", retry=retry), "b": {}}, "a>b"
    )
    run = house.start(definition)
    end_while_locked(house, run, name, gate)
    run = house.ended(run)
    assert (run.status, house.steps(run)["a"].attempt, functions.CALLS[name]) == ("failed", 2, 2)


def test_a_step_about_to_wait_whose_run_is_locked_waits(house: House, name: str, gate) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("held", name=name, fails="unknown"), "b": {}}, "a>b"))
    end_while_locked(house, run, name, gate)
    run = house.rests(run, "waiting")
    assert house.statuses(run) == {"a": "waiting", "b": "pending"}
    house.check([run.pk])


def test_the_sweep_decides_what_a_dead_worker_left_undecided(
    house: House, name: str, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker()
    monkeypatch.setattr(worker.engine, "_decide", lambda undecided: None)
    run = house.start(graph({"a": call("held", name=name), "b": {}}, "a>b"))
    end_while_locked(house, run, name, gate, status="succeeded", undecided=True)
    house.ticker()
    assert house.ended(run).status == "succeeded"


def test_one_run_that_cannot_be_mended_keeps_no_other_waiting(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry = {"max_attempts": 2, "backoff_seconds": 0.01}
    house.worker()
    runs = [
        house.start(graph({"a": call("counted_read", name=f"{name}{n}", failures=1, retry=retry)}))
        for n in range(2)
    ]
    for run in runs:
        house.rests(run, "waiting")
    wake = house.sweeper_class._wake

    def stumbles(self: Any, ledger: Any, run: Any) -> Any:
        if run.id == runs[0].pk:
            raise ValueError("this one cannot be mended")
        return wake(self, ledger, run)

    monkeypatch.setattr(house.sweeper_class, "_wake", stumbles)
    house.ticker()
    assert house.ended(runs[1]).status == "succeeded"
    assert Run.objects.get(pk=runs[0].pk).status == "waiting"


WIDE = 8


def mixed(name: str, number: int) -> dict[str, Any]:
    """Branches on both pools, joins of both kinds, a decision, a repetition, a borne failure."""
    retry = {"max_attempts": 3, "backoff_seconds": 0.01}
    nodes = {
        "a": call("counted", name=f"{name}-{number}-a"),
        **{f"b{n}": call("counted", name=f"{name}-{number}-b{n}") for n in range(WIDE)},
        "io": call("sleep", seconds=0.001),
        "any": {"kind": "transform", "join": "any", "set": {}},
        "all": {},
        "d": {
            "kind": "decision",
            "cases": [{"when": "steps.a.output.n == 1", "to": "x"}],
            "default": "y",
        },
        "x": call("counted_read", name=f"{name}-{number}-x", failures=1, retry=retry),
        "y": {},
        "bad": call("fail", retryable=False, on_error="continue"),
        "z": {},
    }
    edges = [f"a>b{n}" for n in range(WIDE)]
    edges += [f"b{n}>{join}" for n in range(WIDE) for join in ("any", "all")]
    edges += ["a>io", "io>all", "all>d", "any>bad", "d>x", "d>y", "bad>z", "x>z", "y>z"]
    return graph(nodes, *edges)


def test_two_engines_share_many_runs_and_miscount_none(house: House, name: str) -> None:
    workers = [house.worker(threads=4, io_slots=4) for _ in range(2)]
    house.ticker()
    runs = [house.start(mixed(name, number)) for number in range(10)]
    short = house.workflow(chain(3))
    requests = [house.request(short) for _ in range(200)]
    runs += services.start_batch(requests, actor=house.user)
    house.ended(*runs, seconds=60)
    found = Run.objects.filter(pk__in=[run.pk for run in runs])
    assert {run.status for run in found} == {"succeeded"}
    counted = {key: n for key, n in functions.CALLS.items() if key.startswith(name)}
    assert len(counted) == 10 * (WIDE + 2)
    assert {n for key, n in counted.items() if not key.endswith("x")} == {1}
    assert {n for key, n in counted.items() if key.endswith("x")} == {2}
    steps = Step.objects.filter(run__in=[run.pk for run in runs], worker_id__isnull=False)
    assert set(steps.values_list("worker_id", flat=True)) == {w.instance.pk for w in workers}
    for worker in workers:
        house.until(lambda w=worker: w.engine.slots.free == w.engine.slots.size, 5, "slots leaked")


def test_runs_written_to_from_outside_while_they_run_are_miscounted_nowhere(
    house: House, name: str
) -> None:
    house.worker(threads=4)
    house.worker(threads=4)
    house.ticker()
    runs = [house.start(mixed(name, number)) for number in range(12)]
    verbs: list[Callable[..., Any]] = [services.pause, services.resume]
    for turn in range(40):
        for run in runs:
            try:
                verbs[turn % 2](run, actor=house.user)
            except DomainError:
                continue
    for run in Run.objects.filter(pk__in=[run.pk for run in runs], status="paused"):
        services.resume(run, actor=house.user)
    house.ended(*runs, seconds=60)
    found = Run.objects.filter(pk__in=[run.pk for run in runs])
    assert {run.status for run in found} == {"succeeded"}


def test_runs_cancelled_at_any_moment_end_well(house: House, name: str) -> None:
    house.worker(threads=4)
    house.worker(threads=4)
    house.ticker()
    runs = [house.start(mixed(name, number)) for number in range(20)]
    for number, run in enumerate(runs):
        threading.Event().wait(0.01 * (number % 4))
        try:
            services.cancel(run, actor=house.user)
        except DomainError:
            continue
    house.ended(*runs, seconds=60)
    found = {run.status for run in Run.objects.filter(pk__in=[run.pk for run in runs])}
    assert found <= {"succeeded", "cancelled"}


# Many threads, one effect


def at_once(house: House, work: Callable[[], Any]) -> list[Any]:
    """What the work answers, or why it was refused, in 32 threads at the same moment."""
    barrier = threading.Barrier(THREADS)

    def one(_: int) -> Any:
        barrier.wait()
        try:
            return work()
        except DomainError as exc:
            return exc.code
        finally:
            house.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def audited(run: Run, action: str) -> int:
    return AuditEntry.objects.filter(action=action, target_id=str(run.pk)).count()


def test_32_threads_cancel_a_run_once(house: House) -> None:
    run = house.start(chain(3))
    answers = at_once(house, lambda: services.cancel(run, actor=house.user).status)
    assert sorted(set(answers)) == ["cancelled", "run_ended"]
    assert answers.count("cancelled") == 1
    assert audited(run, "run.cancelled") == 1
    house.check([run.pk])


def test_32_threads_cancel_a_running_run_once(house: House, name: str, gate) -> None:
    house.worker()
    run = house.start(graph({"a": call("held", name=name)}))
    house.until(lambda: functions.CALLS[name] == 1, 5, "not called")
    answers = at_once(house, lambda: services.cancel(run, actor=house.user).status)
    assert set(answers) == {"cancelling"}
    gate.set()
    run = house.ended(run)
    assert [e for e, _ in house.events(run)].count("run.cancelling") == 1
    assert audited(run, "run.cancelled") == 1


def test_32_threads_pause_a_run_once(house: House) -> None:
    run = house.start(chain(3))
    assert set(at_once(house, lambda: services.pause(run, actor=house.user).status)) == {"paused"}
    assert audited(run, "run.paused") == 1
    answers = at_once(house, lambda: services.resume(run, actor=house.user).status)
    assert answers.count("queued") == 1
    assert audited(run, "run.resumed") == 1
    house.check([run.pk])


def test_32_threads_retry_a_run_once(house: House) -> None:
    run = house.run(graph({"a": call("fail", retryable=False)}))
    house.workers[0].stop()
    answers = at_once(house, lambda: services.retry(run, actor=house.user))
    assert len({new.pk for new, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert Run.objects.filter(parent=run).count() == 1
    assert audited(run, "run.retried") == 1


def test_32_threads_start_one_run_with_one_key(house: House, name: str) -> None:
    workflow = house.workflow(chain(1))
    request = house.request(workflow, idempotency_key=name)
    answers = at_once(house, lambda: services.start(request, actor=house.user))
    assert len({run.pk for run, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert Run.objects.filter(workflow=workflow).count() == 1

"""The freeze switch: nothing new is begun while it is on, and everything goes on after it."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from controlplane.kit.database import conninfo
from controlplane.kit.errors import DomainError
from controlplane.kit.models import Event
from governance.models import AuditEntry
from projects.models import Project
from runs import freezing, services, why
from runs.dispatch import Dispatcher
from runs.facts import Facts
from runs.models import Effect, Run, Step
from tests.engine import functions
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import called


@pytest.fixture
def dev(house: House):
    """The environment of the house's runs."""
    return house.project.environments.get(name="dev")


def frozen(house: House, where=None, **word) -> bool:
    return freezing.freeze(house.project, where, actor=house.user, **word)


def thawed(house: House, where=None) -> bool:
    return freezing.thaw(house.project, where, actor=house.user)


@pytest.mark.parametrize("of_environment", [False, True])
def test_what_is_at_work_finishes_and_nothing_new_starts_until_it_is_thawed(
    house: House, name: str, gate, dev, of_environment: bool
) -> None:
    where = dev if of_environment else None
    house.worker()
    house.ticker()
    nodes = {"a": call("held", name=name), "b": call("counted", name=f"{name}-b")}
    run = house.start(graph(nodes, "a>b"))
    called(house, name, 1)
    assert frozen(house, where, reason="an incident")
    assert not frozen(house, where, reason="again")
    run = house.rests(run, "paused")
    assert run.reason == "frozen"
    said = why.sentence(run)
    assert said.startswith("Frozen by Own at 20")
    assert "(an incident): a may finish its call" in said
    gate.set()
    house.stands(run, "a", "succeeded")
    house.project.refresh_from_db()
    dev.refresh_from_db()
    with pytest.raises(DomainError) as refused:
        house.start(graph({"a": {}}))
    assert (refused.value.code, "by Own" in refused.value.message) == ("frozen", True)
    with pytest.raises(DomainError) as refused:
        services.resume(run, actor=house.user)
    assert refused.value.code == "frozen"
    assert functions.CALLS[f"{name}-b"] == 0
    assert thawed(house, where)
    assert house.ended(run).status == "succeeded"
    kind = "environment" if of_environment else "project"
    actions = AuditEntry.objects.filter(project_id=house.project.pk, action__startswith=kind)
    made = actions.order_by("id").values_list("action", flat=True)
    assert list(made)[-2:] == [f"{kind}.frozen", f"{kind}.thawed"]
    told = Event.objects.filter(subject_id=house.project.pk).order_by("activity_seq")
    assert [(e.type, e.data["by"]) for e in told] == [
        ("project.frozen", "Own"), ("project.thawed", "Own"),
    ]  # fmt: skip


def test_a_call_that_does_more_than_read_is_not_begun_by_a_step_at_work(
    house: House, name: str, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch was turned between the claim and the call."""
    worker = house.worker()
    declare, reached = worker.engine.store.declare, threading.Event()

    def late(*args):
        reached.set()
        assert gate.wait(10)
        return declare(*args)

    monkeypatch.setattr(worker.engine.store, "declare", late)
    run = house.start(graph({"a": call("counted", name=name)}))
    assert reached.wait(5)
    frozen(house)
    gate.set()
    step = house.stands(run, "a", "waiting")
    assert (step.reason, functions.CALLS[name]) == ("frozen", 0)
    assert not Effect.objects.filter(run=run).exists()
    house.ticker()
    thawed(house)
    run = house.ended(run)
    assert (run.status, functions.CALLS[name], house.steps(run)["a"].attempt) == ("succeeded", 1, 1)


def test_steps_that_wait_in_the_queue_leave_it_and_come_back(house: House, dev) -> None:
    runs = [house.start(graph({"a": {}, "b": {}}, "a>b")) for _ in range(30)]
    staging = house.project.environments.get(name="staging")
    frozen(house, dev)
    frozen(house, staging)
    ids = [run.pk for run in runs]
    assert not Step.objects.filter(run__in=ids, status="ready").exists()
    assert set(Run.objects.filter(pk__in=ids).values_list("status", flat=True)) == {"paused"}
    house.check(ids)
    paused = runs[0]
    services.pause(paused, actor=house.user)
    house.worker()
    house.ticker()
    thawed(house, dev)
    house.ended(*runs[1:])
    assert Run.objects.get(pk=paused.pk).status == "paused"
    services.resume(paused, actor=house.user)
    assert house.ended(paused).status == "succeeded"


def test_a_claim_takes_nothing_that_is_frozen_even_before_its_run_is_held(house: House) -> None:
    run = house.start(graph({"a": {}}))
    Project.objects.filter(pk=house.project.pk).update(frozen_at="2026-01-01T00:00Z")
    worker = house.worker(bells=False, beats=False)
    worker.engine.may_claim = False
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        dispatcher = Dispatcher(Facts(), worker.instance.pk, "shared")
        claimed, _ = dispatcher.claim(conn, {"cpu": 50, "io": 50, "inline": 50})
        assert run.pk not in {each.run_id for each in claimed}
        Project.objects.filter(pk=house.project.pk).update(frozen_at=None)
        claimed, _ = dispatcher.claim(conn, {"cpu": 50, "io": 50, "inline": 50})
        assert run.pk in {each.run_id for each in claimed}


def test_a_frozen_run_can_be_cancelled_and_waits_go_on(house: House, name: str) -> None:
    house.worker()
    house.ticker()
    waiting = house.start(graph({"a": {"kind": "wait", "seconds": 0.5}, "b": {}}, "a>b"))
    stopped = house.start(graph({"a": {"kind": "signal", "name": "s", "due_seconds": 60}}))
    house.rests(waiting, "waiting")
    house.rests(stopped, "waiting")
    frozen(house)
    house.rests(waiting, "paused")
    services.cancel(stopped, actor=house.user)
    assert house.ended(stopped).status == "cancelled"
    house.stands(waiting, "a", "ready")
    thawed(house)
    assert house.ended(waiting).status == "succeeded"


def test_a_sub_workflow_is_started_when_it_is_thawed(house: House, name: str, gate) -> None:
    inner = house.workflow(graph({"x": call("counted", name=f"{name}-x")}))
    nodes = {
        "a": call("held_read", name=name),
        "b": {"kind": "workflow", "workflow": inner.slug, "input": {}},
    }
    house.worker()
    house.ticker()
    run = house.start(graph(nodes, "a>b"))
    called(house, name, 1)
    frozen(house)
    gate.set()
    house.stands(run, "a", "succeeded")
    assert functions.CALLS[f"{name}-x"] == 0
    thawed(house)
    assert house.ended(run).status == "succeeded"
    assert functions.CALLS[f"{name}-x"] == 1


def test_32_threads_turn_the_switch_and_every_run_ends(house: House, name: str) -> None:
    house.worker()
    house.ticker()
    made = [
        house.start(graph({"a": call("counted", name=f"{name}-{n}"), "b": {}}, "a>b"))
        for n in range(40)
    ]

    def one(number: int) -> None:
        try:
            project = Project.objects.get(pk=house.project.pk)
            turn = freezing.freeze if number % 2 else freezing.thaw
            turn(project, actor=house.user)
        finally:
            house.close()

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(one, range(96)))
    thawed(house)
    house.ended(*made)
    assert all(functions.CALLS[f"{name}-{n}"] == 1 for n in range(40))
    assert set(
        Run.objects.filter(pk__in=[r.pk for r in made]).values_list("status", flat=True)
    ) == {"succeeded"}
    turns = AuditEntry.objects.filter(project_id=house.project.pk, action__startswith="project.")
    kinds = list(turns.order_by("id").values_list("action", flat=True))
    assert all(first != second for first, second in itertools.pairwise(kinds))

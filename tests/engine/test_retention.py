"""What the rules of a project remove, and what they never touch."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from controlplane.kit.database import conninfo
from controlplane.kit.errors import DomainError
from controlplane.kit.models import Event
from governance.models import AuditEntry
from projects.models import Project
from runs import services
from runs.models import Effect, LogLine, Retention, Run, Signal, Step
from runs.retention import Pruner, Removed
from tests.engine.house import House, call, chain, graph


def rules(house: House, **days: int) -> None:
    Project.objects.filter(pk=house.project.pk).update(**days)


def age(*runs: Run, days: float) -> None:
    """Let runs have begun and ended so long ago."""
    for run in runs:
        row = Run.objects.get(pk=run.pk)
        row.created_at -= timedelta(days=days)
        row.ended_at = row.ended_at and row.ended_at - timedelta(days=days)
        row.save(update_fields=["created_at", "ended_at"])


def prune(house: House) -> Removed:
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        return Pruner(conn).prune().get(house.project.pk, Removed())


def left(*runs: Run) -> set:
    return set(Run.objects.filter(pk__in=[run.pk for run in runs]).values_list("pk", flat=True))


@pytest.fixture
def noisy(house: House) -> Run:
    """A run with log lines, an effect and a signal."""
    nodes = {
        "a": call("chatty", lines=7),
        "b": {"kind": "transform", "set": {"x": "secret"}},
        "c": call("counted", name="c"),
    }
    output = {"x": "${steps.b.output.x}"}
    run = house.run(graph(nodes, "a>b", "b>c", output=output), input={"who": "personal"})
    house.until(lambda: LogLine.objects.filter(run=run).count() == 7, 5, "not logged")
    Signal.objects.create(run=run, name="go", body={"a": 1})
    return run


def test_old_runs_go_with_all_that_hangs_on_them_and_young_ones_stay(
    house: House, noisy: Run
) -> None:
    rules(house, retention_days=30)
    young = house.run(chain(1))
    age(noisy, days=31)
    age(young, days=29)
    assert prune(house) == Removed(runs=1, lines=7)
    assert left(noisy, young) == {young.pk}
    for rows in (Step, LogLine, Effect, Signal):
        assert not rows.objects.filter(run_id=noisy.pk).exists()
    assert not Event.objects.filter(subject_id=noisy.pk).exists()
    audited = AuditEntry.objects.get(action="project.pruned", target_id=str(house.project.pk))
    assert (audited.after["runs"], audited.after["log_lines"]) == (1, 7)
    assert audited.actor_type == "system"
    assert not prune(house)
    assert Retention.objects.get(project=house.project).runs_deleted == 1


def test_nothing_of_a_tree_with_a_live_run_goes(house: House) -> None:
    rules(house, retention_days=1)
    broken = graph({"a": call("fail", retryable=False)})
    first = house.run(broken)
    second = house.ended(services.retry(first, actor=house.user)[0])
    for worker in house.workers:
        worker.engine.may_claim = False
    third = services.retry(second, actor=house.user)[0]
    waits = house.start(chain(1))
    age(first, second, third, waits, days=9)
    assert not prune(house)
    assert left(first, second, third, waits) == {first.pk, second.pk, third.pk, waits.pk}
    for run in (third, waits):
        services.cancel(run, actor=house.user)
    age(third, waits, days=9)
    assert prune(house).runs == 4


def test_a_run_with_a_call_in_doubt_stays_until_somebody_has_said(house: House, noisy: Run) -> None:
    rules(house, retention_days=1)
    age(noisy, days=9)
    Effect.objects.filter(run=noisy).update(state="unknown")
    assert not prune(house)
    Effect.objects.filter(run=noisy).update(state="resolved")
    assert prune(house).runs == 1


def test_log_lines_and_payloads_may_go_before_their_run(house: House, noisy: Run) -> None:
    rules(house, retention_days=90, log_retention_days=3, payload_retention_days=7)
    age(noisy, days=5)
    assert prune(house) == Removed(lines=7)
    age(noisy, days=5)
    assert prune(house) == Removed(payloads=1)
    assert not prune(house)
    run = Run.objects.get(pk=noisy.pk)
    assert (run.input, run.output, run.status) == ({}, None, "succeeded")
    assert "cleared" in run.pins
    step = Step.objects.get(run=run, node="b")
    assert (step.input, step.output, step.status) == (None, None, "succeeded")
    assert Effect.objects.get(run=run).arguments is None
    house.check([run.pk])
    for again in ({}, {"start_from": "start"}):
        with pytest.raises(DomainError) as refused:
            services.retry(run, actor=house.user, **again)
        assert refused.value.code == "payloads_gone"
    new = services.retry(run, actor=house.user, start_from="start", input={"who": "new"})[0]
    assert house.ended(new).output == {"x": "secret"}


def test_a_live_run_holds_back_the_place_but_not_the_others(house: House) -> None:
    rules(house, retention_days=90, payload_retention_days=1)
    house.worker()
    live = house.start(graph({"a": {"kind": "signal", "name": "go"}}))
    house.rests(live, "waiting")
    done = [house.run(chain(1), input={"n": n}) for n in range(3)]
    age(live, days=20)
    age(*done, days=10)
    assert prune(house).payloads == 3
    assert Retention.objects.get(project=house.project).payloads_to is None
    services.cancel(live, actor=house.user)
    assert prune(house).payloads == 0
    Run.objects.filter(pk=live.pk).update(ended_at=datetime.now(UTC) - timedelta(days=5))
    assert prune(house).payloads == 1
    assert Retention.objects.get(project=house.project).payloads_to is not None


def test_a_locked_run_is_passed_by_and_comes_with_the_next_pass(house: House) -> None:
    rules(house, retention_days=1)
    runs = [house.run(chain(1)) for _ in range(3)]
    age(*runs, days=9)
    with psycopg.connect(conninfo()) as conn:
        conn.execute("SELECT 1 FROM run WHERE id = %s FOR UPDATE", [runs[1].pk])
        assert prune(house).runs == 2
        conn.rollback()
    assert prune(house).runs == 1


def test_volumes_go_in_batches_while_runs_go_on(house: House) -> None:
    rules(house, retention_days=30)
    house.worker()
    house.ticker()
    workflow = house.workflow(chain(2))
    old = services.start_batch([house.request(workflow) for _ in range(400)], actor=house.user)
    house.ended(*old, seconds=60)
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        ids = [run.pk for run in old]
        conn.execute(
            "UPDATE run SET created_at = created_at - interval '40 d', ended_at = ended_at -"
            " interval '40 d' WHERE id = ANY(%s)", [ids],
        )  # fmt: skip
        conn.execute(
            "INSERT INTO log_line (run_id, seq, at, level, message)"
            " SELECT %s, n, now(), 'info', 'x' FROM generate_series(1, 12000) n", [ids[0]],
        )  # fmt: skip
    young = services.start_batch([house.request(workflow) for _ in range(200)], actor=house.user)
    assert prune(house) == Removed(runs=400, lines=12_000)
    house.ended(*young, seconds=60)
    assert len(left(*old, *young)) == 200

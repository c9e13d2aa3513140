"""What a run costs in commits, counted by the transaction ids that PostgreSQL gave out."""

import psycopg
import pytest

from controlplane.kit.database import conninfo
from controlplane.kit.models import Event
from runs import services
from runs.models import Run
from tests.engine.house import House, chain, graph

STEPS = 100
# Start, claim, and room for a chain that went back to the queue once or twice.
A_FEW = 6


def transactions() -> int:
    """The next transaction id of the whole server."""
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        row = conn.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return row.fetchone()[0]


def test_a_chain_of_100_steps_costs_one_commit_a_step_and_a_few(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the chain must not go back to the queue for lack of time.
    monkeypatch.setattr("runs.engine.CHAIN_SECONDS", 60)
    workflow = house.workflow(chain(STEPS))
    worker = house.worker(beats=False, bells=False)
    house.ended(*[house.start(workflow)], seconds=20)  # versions and tools are read once
    before = transactions()
    run = services.start(house.request(workflow), actor=house.user)[0]
    worker.engine.wake()
    run = house.ended(run, seconds=20)
    spent = transactions() - before
    assert run.status == "succeeded"
    assert spent <= STEPS + A_FEW
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        told = conn.execute(
            "SELECT count(DISTINCT xmin::text) FROM event WHERE subject_id = %s", [run.pk]
        ).fetchone()[0]
    assert told <= STEPS + A_FEW
    # queued, started, ready; then started, called, succeeded for each step; the end
    assert Event.objects.filter(subject_id=run.pk).count() == 3 + 3 * STEPS + 1


def test_a_wide_run_costs_less_than_a_commit_a_step(house: House) -> None:
    wide = graph(
        {"a": {}, **{f"b{n}": {} for n in range(60)}, "z": {}},
        *[f"a>b{n}" for n in range(60)],
        *[f"b{n}>z" for n in range(60)],
    )
    workflow = house.workflow(wide)
    worker = house.worker(beats=False, bells=False, threads=64)
    before = transactions()
    run = house.start(workflow)
    worker.engine.wake()
    run = house.ended(run)
    assert (run.status, transactions() - before < 30) == ("succeeded", True)


@pytest.mark.parametrize("count", [50])
def test_a_batch_of_runs_is_started_by_one_commit(house: House, count: int) -> None:
    workflow = house.workflow(chain(3))
    requests = [house.request(workflow) for _ in range(count)]
    spent = []
    for _ in range(3):
        before = transactions()
        runs = services.start_batch(requests, actor=house.user)
        spent.append(transactions() - before)
        Run.objects.filter(pk__in=[run.pk for run in runs]).delete()
    # The server counts its own housekeeping with ours.
    assert min(spent) == 1, spent

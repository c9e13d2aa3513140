"""Log lines of running steps in the database."""

import psycopg
import pytest

from controlplane.kit.database import conninfo
from controlplane.kit.models import Event
from runs.models import LogLine, Run
from tests.engine.house import House, call, graph


def test_every_line_is_kept_in_order_and_announced_once(house: House) -> None:
    run = house.run(graph({"a": call("chatty", lines=1_234)}))
    house.until(lambda: LogLine.objects.filter(run=run).count() == 1_234, 5, "lines are missing")
    lines = list(LogLine.objects.filter(run=run).order_by("seq").values_list("seq", "message"))
    assert lines == [(n + 1, f"line {n}") for n in range(1_234)]
    told = [e.data for e in Event.objects.filter(subject_id=run.pk, type="log").order_by("seq")]
    assert max(each["count"] for each in told) <= 500
    assert [each["first"] for each in told] == [
        1 + sum(e["count"] for e in told[:n]) for n in range(len(told))
    ]
    assert Run.objects.get(pk=run.pk).last_log_seq == 1_234
    house.check([run.pk])


def test_a_database_that_is_away_costs_no_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker()
    house.tolerates_outages = True
    run = house.start(graph({"a": call("chatty", lines=10)}))
    house.rests(run, "succeeded")
    house.until(lambda: LogLine.objects.filter(run=run).count() == 10, 5, "lines are missing")
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        cut = conn.execute(
            "SELECT pg_terminate_backend(%s)", [worker.engine.logs._conn.info.backend_pid]
        )
        assert cut.fetchone()[0]
    again = house.start(graph({"a": call("chatty", lines=10)}))
    house.rests(again, "succeeded")
    house.until(lambda: LogLine.objects.filter(run=again).count() == 10, 5, "lines are missing")

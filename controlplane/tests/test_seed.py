"""`manage.py seed`: ended runs that tell one story in all their tables."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Max, Sum

from agents.models import ModelCall
from controlplane.kit.models import Event
from projects.models import Project
from runs.models import LogLine, Run, Step
from runs.states import RUN_TERMINAL, STEP_TERMINAL
from tools.models import ToolCall
from workflows.models import Workflow

RUNS = 700


def seed(**options):
    told = StringIO()
    call_command("seed", stdout=told, **options)
    return told.getvalue()


@pytest.fixture
def seeded(project):
    seed(runs=RUNS, project=project.slug)
    return project


def asked(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_as_many_runs_as_asked_for_all_ended(seeded):
    rows = Run.objects.filter(project=seeded)
    assert rows.count() == RUNS
    assert set(rows.values_list("status", flat=True)) <= RUN_TERMINAL
    assert rows.filter(status="succeeded").count() > RUNS * 0.8
    assert rows.filter(status="failed").exists()
    assert len(set(rows.values_list("environment__name", flat=True))) == 3
    assert len(set(rows.values_list("workflow", flat=True))) == 8


def test_ids_sort_as_the_runs_began(seeded):
    rows = list(Run.objects.filter(project=seeded).order_by("created_at").values_list("pk"))
    assert rows == sorted(rows)
    assert all(key.version == 7 for (key,) in rows)


def test_the_newest_runs_have_steps_that_fit_the_run(seeded):
    assert Step.objects.values("run").distinct().count() == 500
    assert set(Step.objects.values_list("status", flat=True)) <= STEP_TERMINAL
    outside = """SELECT count(*) FROM step s JOIN run r ON r.id = s.run_id
      WHERE s.started_at < r.started_at OR s.ended_at > r.ended_at + interval '1 ms'
        OR (r.status = 'succeeded') <> (s.status = 'succeeded')
           AND r.status = 'succeeded'"""
    assert asked(outside) == 0


def test_calls_cost_together_what_the_run_cost(seeded):
    costs = dict(ModelCall.objects.values_list("run_id").annotate(Sum("cost")))
    runs = Run.objects.in_bulk(list(costs))
    assert len(costs) > 50
    for run_id, cost in costs.items():
        told = runs[run_id].cost
        assert (cost is None) == (told is None)
        assert cost is None or abs(cost - told) < 1e-9
    unpriced = ModelCall.objects.filter(price_status="unpriced")
    assert unpriced.exists()
    assert not unpriced.exclude(cost=None).exists()
    assert ToolCall.objects.filter(state="failed").exclude(error_code="").exists()


def test_events_and_log_lines_are_numbered_without_a_gap(seeded):
    found = Event.objects.values_list("subject_id").annotate(Count("seq"), Max("seq"))
    assert len(found) == 400
    lasts = dict(Run.objects.values_list("pk", "last_seq"))
    assert all(count == last == lasts[run] for run, count, last in found)
    lines = LogLine.objects.values_list("run_id").annotate(Count("seq"), Max("seq"))
    assert all(count == last for _, count, last in lines)
    assert {e.type for e in Event.objects.all()} >= {"run.queued", "tool.called", "model.called"}


def test_seeding_twice_adds_up(seeded):
    seed(runs=10, project=seeded.slug)
    assert Run.objects.filter(project=seeded).count() == RUNS + 10
    assert Workflow.objects.filter(project=seeded).count() == 8


def test_without_a_project_one_is_made(db):
    assert "3 runs in the project seeded" in seed(runs=3)
    assert Project.objects.get(slug="seeded").runs.count() == 3


@pytest.mark.parametrize("options", [{"runs": 0}, {"runs": 5, "project": "nowhere"}])
def test_what_cannot_be_seeded_is_refused(db, options):
    with pytest.raises(CommandError):
        seed(**options)


def test_foreign_keys_hold(seeded):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in ("run", "step", "model_call", "tool_call"):
        connection.check_constraints([table])
    assert asked("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0

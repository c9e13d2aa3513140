"""The figures of the dashboard."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from analytics import figures
from runs.models import Run, Step


@pytest.fixture
def now():
    return timezone.now()


def lasting(now, seconds):
    return {"started_at": now - timedelta(seconds=seconds), "ended_at": now, "created_at": now}


def test_a_period_is_counted_from_its_runs(project, make_run, now):
    for seconds in range(1, 20):
        make_run(status="succeeded", cost=Decimal("0.01"), **lasting(now, seconds))
    make_run(status="failed", unpriced_calls=2, **lasting(now, 20))
    make_run(status="running")
    make_run(status="succeeded", created_at=now - timedelta(days=3))
    found = figures.figures(figures.runs_of(project), now - figures.PERIOD, timezone.now())
    assert found.runs == 21
    assert found.success == pytest.approx(19 / 20)
    assert found.p95_ms == pytest.approx(19_050, rel=0.01)
    assert found.cost == Decimal("0.19")
    assert found.unpriced == 2


def test_a_period_without_runs_claims_nothing(project, now):
    found = figures.figures(figures.runs_of(project), now - figures.PERIOD, now)
    assert (found.runs, found.success, found.p95_ms, found.cost) == (0, None, None, None)


def test_hours_are_24_and_every_status_has_its_group(project, make_run):
    for status in ("succeeded", "failed", "timed_out", "cancelled", "waiting", "queued"):
        make_run(status=status)
    hours = figures.by_hour(figures.runs_of(project), timezone.now())
    assert len(hours) == 24
    last = {name: sum(hour[name] for hour in hours) for name in figures.GROUPS}
    assert last == {"succeeded": 1, "failed": 2, "cancelled": 1, "running": 2}


def test_what_needs_attention_is_named(project, make_run, now):
    failed = make_run(status="failed")
    waiting = make_run(status="waiting")
    Step.objects.create(run=waiting, node="x", name="Call it", kind="tool", status="parked")
    make_run(status="queued")
    found = figures.attention(project, figures.runs_of(project), now - figures.PERIOD)
    texts = [item["text"] for item in found]
    assert texts[0] == "No worker is alive"
    assert "Call it is parked" in texts
    assert str(failed.workflow) in texts


def test_figures_are_of_the_chosen_environment(project, make_run):
    make_run(environment="dev")
    make_run(environment="prod")
    prod = project.environments.get(name="prod")
    assert figures.runs_of(project, prod).count() == 1
    assert figures.runs_of(project).count() == 2


def test_the_dashboard_asks_few_queries(vic, make_run, django_assert_max_num_queries):
    for _ in range(5):
        make_run(status="failed")
    browser = Client()
    browser.force_login(vic, backend="allauth.account.auth_backends.AuthenticationBackend")
    browser.get("/")
    with django_assert_max_num_queries(18):
        html = browser.get("/").content.decode()
    assert "5 failed" in html
    part = browser.get("/", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="overview").content.decode()
    assert "<html" not in part
    assert Run.objects.count() == 5

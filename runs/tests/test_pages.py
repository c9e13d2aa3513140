"""The page of one run: its parts, alone and together."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from controlplane.kit.models import Event
from runs.models import LogLine, Step


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


@pytest.fixture
def run(make_run):
    """A run with two steps, of which the second failed."""
    now = timezone.now()
    run = make_run(
        status="failed", last_seq=2, last_log_seq=700, input={"city": "Oslo"},
        error={"node": "tell", "message": "the <b>line</b> was \x1b[31mbusy", "code": "busy"},
    )  # fmt: skip
    for n, (node, status) in enumerate((("look", "succeeded"), ("tell", "failed"))):
        Step.objects.create(
            run=run, node=node, name=node.title(), kind="tool", status=status, position=n,
            started_at=now + timedelta(seconds=n), ended_at=now + timedelta(seconds=n + 1),
            input={"n": n}, attempt=1,
            error=run.error if status == "failed" else None,
        )  # fmt: skip
    for seq, kind in ((1, "run.queued"), (2, "run.failed")):
        Event.objects.create(
            subject_id=run.pk, seq=seq, project_id=run.project_id, at=now, type=kind, data={}
        )
    step = run.steps.get(node="look")
    LogLine.objects.bulk_create(
        LogLine(
            run=run, seq=seq, at=now, level="error" if seq % 100 == 0 else "info",
            step_id=step.pk, message=f"line {seq}",
        )
        for seq in range(1, 701)
    )  # fmt: skip
    return run


def part(browser, url, target):
    return browser.get(url, HTTP_HX_REQUEST="true", HTTP_HX_TARGET=target).content.decode()


def test_the_page_says_how_it_stands_and_why(web, vic, run):
    html = web(vic).get(run.get_absolute_url()).content.decode()
    assert "tell: the &lt;b&gt;line&lt;/b&gt; was \\x1b[31mbusy" in html
    assert f'data-live="/ws/runs/{run.pk}?after=2&amp;tokens=1"' in html
    assert "1 done · 1 failed" in html


@pytest.mark.parametrize(
    ("target", "query", "found", "left_out"),
    [
        ("run-head", "", 'id="run-head"', 'id="run-steps"'),
        ("run-steps", "?tab=timeline", 'id="run-steps"', 'id="run-head"'),
        ("run-events", "?tab=events", "run.failed", 'id="run-head"'),
        ("run-io", "?tab=io", "city", 'id="run-head"'),
        ("facet", "?tab=logs", 'id="log-lines"', 'id="run-head"'),
    ],
)
def test_each_part_can_be_fetched_alone(web, vic, run, target, query, found, left_out):
    html = part(web(vic), run.get_absolute_url() + query, target)
    assert found in html
    assert left_out not in html
    assert "<html" not in html


def test_the_head_brings_new_counts_for_the_tabs(web, vic, run):
    html = part(web(vic), run.get_absolute_url(), "run-head")
    assert '<span class="tab-count" id="tab-count-logs" hx-swap-oob="true">700</span>' in html


def test_a_chosen_step_stands_in_the_drawer(web, vic, run):
    step = run.steps.get(node="tell")
    html = web(vic).get(f"{run.get_absolute_url()}?step={step.pk}").content.decode()
    assert 'id="step-drawer"' in html
    assert "<code>busy</code>" in html
    assert f'id="step-{step.pk}"' in html


def test_a_step_of_another_run_is_not_shown(web, vic, run, make_run):
    other = make_run(workflow=run.workflow)
    step = run.steps.get(node="tell")
    html = web(vic).get(f"{other.get_absolute_url()}?step={step.pk}").content.decode()
    assert 'id="step-drawer"' not in html


def test_an_unknown_tab_is_not_there(web, vic, run):
    assert web(vic).get(f"{run.get_absolute_url()}?tab=nonsense").status_code == 404


def test_the_log_begins_at_its_end_and_goes_back(web, vic, run):
    browser, url = web(vic), run.get_absolute_url()
    html = browser.get(f"{url}?tab=logs").content.decode()
    assert "line 700<" in html
    assert "line 201<" in html
    assert "line 200<" not in html
    assert "before=201" in html
    earlier = part(browser, f"{url}?tab=logs&before=201", "log-before")
    assert "line 200<" in earlier
    assert "line 1<" in earlier
    assert "log-more" not in earlier


def test_the_tail_brings_what_came_since_and_where_to_go_on(web, vic, run):
    html = part(web(vic), f"{run.get_absolute_url()}?tab=logs&after=698", "log-tail")
    assert "line 699<" in html
    assert "line 698<" not in html
    assert "after=700" in html


def test_the_log_is_narrowed_by_level_and_words(web, vic, run):
    url = run.get_absolute_url()
    html = web(vic).get(f"{url}?tab=logs&level=error").content.decode()
    assert html.count('data-level="error"') == 7
    assert 'data-level="info"' not in html
    html = web(vic).get(f"{url}?tab=logs&search=line+70").content.decode()
    assert html.count("<li data-seq=") == 2


def test_verbs_follow_the_state_and_the_role(web, ana, vic, run, make_run):
    assert "Retry" in web(ana).get(run.get_absolute_url()).content.decode()
    assert "Retry" not in web(vic).get(run.get_absolute_url()).content.decode()
    alive = make_run(status="running", workflow=run.workflow)
    html = web(ana).get(alive.get_absolute_url()).content.decode()
    assert "Pause" in html
    assert "Cancel" in html
    paused = make_run(status="paused", workflow=run.workflow)
    assert "Resume" in web(ana).get(paused.get_absolute_url()).content.decode()

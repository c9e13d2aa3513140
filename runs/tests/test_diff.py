"""What differs between two runs, by API and on the page."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from runs.models import Step
from tools.models import ToolVersion


@pytest.fixture
def runs(make_run, make_tool, make_workflow):
    """(a green run, a red one after it) with another tool version, input and step."""
    workflow, tool, now = make_workflow(), make_tool(slug="pay"), timezone.now()
    second = ToolVersion.objects.create(
        tool=tool, number=2, config={"function": "noop"}, input_schema={"type": "object"},
        definition_sha256="b",
    )  # fmt: skip
    pins = [{"tools": {"pay": {"version": str(v.pk)}}} for v in (tool.current, second)]
    green = make_run(
        workflow=workflow, status="succeeded", input={"a": 1, "same": 2}, pins=pins[0],
        created_at=now - timedelta(hours=1),
    )  # fmt: skip
    red = make_run(
        workflow=workflow, status="failed", input={"a": 9, "same": 2}, pins=pins[1], created_at=now
    )
    error = {"code": "x", "message": "<b>declined"}
    for run, status in ((green, "succeeded"), (red, "failed")):
        facts = {"run": run, "kind": "tool", "attempt": 1}
        Step.objects.create(
            **facts, node="pay", name="Pay", status=status, position=0,
            error=error if status == "failed" else None,
        )  # fmt: skip
        Step.objects.create(**facts, node="same", name="Same", status="succeeded", position=1)
    return green, red


def test_a_red_run_is_compared_with_the_last_green_one(api, vic, runs, make_run):
    green, red = runs
    make_run(
        workflow=red.workflow,
        status="succeeded",
        environment="prod",
        created_at=red.created_at - timedelta(minutes=1),
    )
    found = api(vic).get(f"/runs/{red.pk}/diff").json()
    assert (found["run"], found["with"]) == (str(red.pk), str(green.pk))
    assert [(c["path"], c["before"], c["after"]) for c in found["input"]] == [("a", 1, 9)]
    [version] = found["versions"]
    assert (version["kind"], version["slug"], version["before"], version["after"]) == (
        "tool", "pay", 1, 2,
    )  # fmt: skip
    assert version["changes"][0]["path"] == "config.function"
    [step] = found["steps"]
    assert (step["node"], step["before"]["status"], step["after"]["status"]) == (
        "pay", "succeeded", "failed",
    )  # fmt: skip
    assert {fact["name"] for fact in found["facts"]} >= {"status"}


def test_any_two_visible_runs_can_be_compared(api, vic, bo, runs):
    green, red = runs
    ask = api(vic)
    assert ask.get(f"/runs/{green.pk}/diff").json() == {"run": str(green.pk), "with": None}
    assert ask.get(f"/runs/{green.pk}/diff?with={red.pk}").json()["input"][0]["after"] == 1
    for wrong in ("x", str(red.workflow_id)):
        assert ask.get(f"/runs/{green.pk}/diff?with={wrong}").status_code == 422
    assert api(bo).get(f"/runs/{green.pk}/diff").status_code == 404


def test_the_page_shows_what_changed(vic, runs):
    green, red = runs
    browser = Client()
    browser.force_login(vic, backend="allauth.account.auth_backends.AuthenticationBackend")
    html = browser.get(f"{red.get_absolute_url()}?tab=changes").content.decode()
    assert "Steps that went otherwise" in html
    assert "&lt;b&gt;declined" in html
    assert "version 1 → 2" in html
    html = browser.get(f"{green.get_absolute_url()}?tab=changes").content.decode()
    assert "No run of this workflow has succeeded" in html
    html = browser.get(f"{green.get_absolute_url()}?tab=changes&with={green.pk}").content.decode()
    assert "Nothing that matters differs" in html
    assert (
        "No run of yours"
        in browser.get(f"{green.get_absolute_url()}?tab=changes&with=x").content.decode()
    )

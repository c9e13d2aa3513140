"""The rules about data by page and API."""

import pytest
from django.test import Client

from governance.models import AuditEntry
from projects.models import Project
from runs.models import Retention

FORM = {"retention_days": 30, "log_retention_days": 7, "payload_retention_days": ""}


def web(user):
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


@pytest.mark.parametrize("field", ["retention_days", "log_retention_days"])
@pytest.mark.parametrize("value", [0, -1, 3651, "x", 1.5])
def test_days_have_bounds(api, own, project, field, value):
    answer = api(own).patch(f"/projects/{project.pk}", {field: value}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_rules_are_set_audited_and_told_with_what_they_did(api, own, vic, project, make_run):
    make_run()
    Retention.objects.create(project=project, runs_deleted=12_000, lines_deleted=7)
    rules = {"log_retention_days": 7, "payload_retention_days": None}
    answer = api(own).patch(f"/projects/{project.pk}", rules, format="json")
    assert answer.json()["log_retention_days"] == 7
    audited = AuditEntry.objects.get(action="project.changed", target_id=str(project.pk))
    assert audited.after == {"log_retention_days": 7}
    facts = api(vic).get(f"/projects/{project.pk}/retention").json()
    assert (facts["retention_days"], facts["log_retention_days"]) == (90, 7)
    assert (facts["runs"], facts["runs_deleted"], facts["log_lines_deleted"]) == (1, 12_000, 7)
    assert api(vic).get("/projects/x/retention").status_code == 404


def test_the_page_shows_and_changes_the_rules(own, vic, project):
    html = web(vic).get("/settings/data/").content.decode()
    assert "as long as their runs" in html
    assert "Edit" not in html.split("<main")[1]
    url = f"/settings/data/{project.pk}/edit/"
    browser = web(own)
    assert "Keep log lines for" in browser.get(url).content.decode()
    assert browser.post(url, {**FORM, "retention_days": 0}).status_code == 422
    assert browser.post(url, FORM).status_code == 302
    row = Project.objects.get(pk=project.pk)
    assert (row.retention_days, row.log_retention_days, row.payload_retention_days) == (30, 7, None)
    assert "7 days" in browser.get("/settings/data/").content.decode()


def test_a_run_whose_payloads_were_removed_says_so(api, vic, make_run):
    run = make_run(pins={"cleared": "2026-03-01T12:00:00+00:00"})
    html = web(vic).get(f"{run.get_absolute_url()}?tab=io").content.decode()
    assert "the project's rule about data" in html
    answer = api(vic).get(f"/runs/{run.pk}").json()
    assert answer["payloads_cleared_at"] == "2026-03-01T12:00:00+00:00"
    assert "payloads_cleared_at" not in api(vic).get("/runs").json()["results"][0]

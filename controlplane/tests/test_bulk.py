"""Verbs on many rows: by page and by API, at once and in the background, broken off and gone on."""

import dataclasses
import json
import threading

import pytest
from django.test import Client

from agents.models import Agent, Deployment
from controlplane.kit import background, bulk, bulk_jobs
from controlplane.kit.models import BulkJob, Event
from governance.models import AuditEntry
from projects import keys
from projects.models import Membership
from runs.bulk import RunBulk
from runs.models import Run
from tools.models import Tool

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "dialog"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


@pytest.fixture
def few_at_once(monkeypatch):
    """What is larger than two goes into the background; what was rung for is kept."""
    rung = []
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(background, "wake", lambda name, key: rung.append((name, str(key))))
    return rung


def statuses():
    return sorted(Run.objects.values_list("status", flat=True))


def test_a_preview_counts_what_would_happen_and_why_not(web, ana, make_run):
    runs = [make_run(status=word) for word in ("queued", "failed", "succeeded")]
    body = {"action": "cancel", "id": [run.pk for run in runs]}
    html = web(ana).post("/bulk/runs/", body, **HTMX).content.decode()
    assert "Cancel: 3 runs" in html
    assert 'It has ended already.</span><span class="number">2' in html
    assert statuses() == ["failed", "queued", "succeeded"]


def test_confirmed_it_is_done_at_once_each_with_its_own_audit_row(web, ana, make_run):
    live = [make_run(status="queued") for _ in range(2)]
    body = {"action": "cancel", "id": [run.pk for run in live], "confirmed": "yes", "once": "a"}
    answer = web(ana).post("/bulk/runs/", body, **HTMX)
    assert answer.status_code == 204
    told = json.loads(answer.headers["HX-Trigger"])
    assert told["toast"]["text"] == "2 runs cancelled."
    assert "run-changed" in told
    assert statuses() == ["cancelled", "cancelled"]
    assert AuditEntry.objects.filter(action="run.cancelled").count() == 2
    assert AuditEntry.objects.filter(action="bulk.started").count() == 1


def test_what_was_refused_is_told_with_its_reason(web, ana, make_run):
    runs = [make_run(status="queued"), make_run(status="failed")]
    body = {"action": "cancel", "id": [run.pk for run in runs], "confirmed": "yes", "once": "b"}
    browser = web(ana)
    html = browser.post("/bulk/runs/", body, **HTMX).content.decode()
    assert "The run has failed already." in html
    again = browser.post("/bulk/runs/", body)
    page = browser.get(again.headers["Location"]).content.decode()
    assert BulkJob.objects.count() == 1, "the same form sent twice begins one job"
    assert "The run has failed already." in page


def test_all_that_match_are_chosen_by_the_filter_as_it_was(web, ana, make_run, bo):
    for status in ("failed", "failed", "succeeded"):
        make_run(status=status, environment="dev")
    make_run(status="failed", environment="prod")
    browser = web(ana)
    browser.get("/runs/")
    browser.post("/projects/choose-environment/", {"environment": "dev", "next": "/"})
    html = browser.get("/runs/?status=failed&period=24h").content.decode()
    assert 'name="query" value="status=failed&amp;period=24h&amp;environment=dev"' in html
    body = {"action": "retry", "all": "yes", "query": "status=failed&period=24h&environment=dev"}
    html = browser.post("/bulk/runs/", body, **HTMX).content.decode()
    assert "Retry: 2 runs" in html
    assert "created_after=" in html
    assert "period" not in html


def test_many_go_into_the_background_and_on_from_where_they_broke_off(
    web, ana, make_run, few_at_once, django_capture_on_commit_callbacks, monkeypatch
):
    for _ in range(5):
        make_run(status="queued")
    make_run(status="failed")
    body = {"action": "cancel", "all": "yes", "query": "", "confirmed": "yes", "once": "c"}
    browser = web(ana)
    with django_capture_on_commit_callbacks(execute=True):
        html = browser.post("/bulk/runs/", body, **HTMX).content.decode()
    job = BulkJob.objects.get()
    assert few_at_once == [("carry_out", str(job.pk))]
    assert f'hx-get="/bulk/jobs/{job.pk}/" hx-trigger="every 1s"' in html
    assert statuses().count("cancelled") == 0

    halfway = bulk_jobs._Carrier.note
    seen = []

    def die_after_three(self, *args):
        halfway(self, *args)
        seen.append(1)
        if len(seen) == 3:
            background.stopping.set()

    monkeypatch.setattr(bulk_jobs._Carrier, "note", die_after_three)
    monkeypatch.setattr(background, "stopping", threading.Event())
    bulk_jobs.carry_out(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.looked_at) == ("running", 3)

    background.stopping.clear()
    late = make_run(status="queued")
    bulk_jobs.carry_out(str(job.pk))
    job.refresh_from_db()
    assert (job.status, job.done, job.refused, job.total) == ("succeeded", 5, 1, 6)
    assert AuditEntry.objects.filter(action="run.cancelled").count() == 5
    late.refresh_from_db()
    assert late.status == "queued", "what came after the job is not meant"
    page = browser.get(f"/bulk/jobs/{job.pk}/").content.decode()
    assert "every 1s" not in page
    assert "The run has failed already." in page


def test_a_broken_row_is_reported_and_the_others_are_done(ana, make_run, monkeypatch):
    runs = sorted((make_run(status="queued") for _ in range(3)), key=lambda run: run.pk)

    def perform(run, actor, options):
        if run.pk == runs[1].pk:
            raise ZeroDivisionError

    act = dataclasses.replace(bulk.find("runs").act("cancel"), perform=perform)
    monkeypatch.setattr(RunBulk, "acts", (act,))
    chosen = bulk.ids_of([run.pk for run in runs])
    job, _ = bulk_jobs.start("runs", "cancel", chosen, {}, actor=ana)
    assert (job.done, job.refused) == (2, 1)
    assert job.reasons == {bulk_jobs.BROKE: 1}


def test_a_job_can_be_stopped_and_says_what_it_did_not_reach(
    web, ana, make_run, few_at_once, django_capture_on_commit_callbacks
):
    for _ in range(3):
        make_run(status="queued")
    selection = bulk.Selection(query="")
    job, _ = bulk_jobs.start("runs", "cancel", selection, {}, actor=ana)
    browser = web(ana)
    browser.post(f"/bulk/jobs/{job.pk}/stop/")
    bulk_jobs.carry_out(str(job.pk))
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert browser.post(f"/bulk/jobs/{job.pk}/stop/", follow=True).status_code == 200


def test_a_role_lost_meanwhile_counts(ana, project, make_run, few_at_once):
    for _ in range(3):
        make_run(status="queued")
    job, _ = bulk_jobs.start("runs", "cancel", bulk.Selection(query=""), {}, actor=ana)
    Membership.objects.filter(user=ana, project=project).update(role="viewer")
    bulk_jobs.carry_out(str(job.pk))
    job.refresh_from_db()
    assert (job.done, job.refused) == (0, 3)
    assert "Your role in this project does not allow this." in job.reasons


def test_silent_jobs_are_rung_for(ana, make_run, few_at_once):
    for _ in range(3):
        make_run(status="queued")
    job, _ = bulk_jobs.start("runs", "cancel", bulk.Selection(query=""), {}, actor=ana)
    assert bulk_jobs.ring_unfinished() == 0
    BulkJob.objects.update(updated_at="2026-01-01T00:00Z")
    few_at_once.clear()
    assert bulk_jobs.ring_unfinished() == 1
    assert few_at_once == [("carry_out", str(job.pk))]


def test_finished_runs_are_deleted_for_good_by_admins_only(api, ana, ada, make_run, vic):
    gone, live = make_run(status="failed"), make_run(status="running")
    gone.steps.create(node="work", kind="transform", name="Work", status="failed")
    Event.objects.create(subject_id=gone.pk, seq=1, project_id=gone.project_id,
                         at=gone.created_at, type="run.failed")  # fmt: skip
    body = {"action": "delete", "ids": [str(gone.pk), str(live.pk)]}
    refused = api(ana).post("/runs/bulk", body).json()
    assert (refused["done"], refused["refused"]) == (0, 2)
    answer = api(ada).post("/runs/bulk", body)
    assert answer.status_code == 201
    told = answer.json()
    assert (told["status"], told["done"], told["refused"]) == ("succeeded", 1, 1)
    assert told["reasons"] == [{"reason": "The run has not ended; cancel it or wait.", "count": 1}]
    assert told["refusals"][0]["id"] == str(live.pk)
    assert list(Run.objects.values_list("pk", flat=True)) == [live.pk]
    assert not Event.objects.filter(subject_id=gone.pk).exists()
    assert AuditEntry.objects.filter(action="run.deleted", target_id=str(gone.pk)).exists()


def test_a_run_stays_while_one_of_its_tree_goes_on(api, ada, make_run):
    ended = make_run(status="failed")
    child = make_run(status="running", root_id=ended.pk, parent=ended)
    body = {"action": "delete", "ids": [str(ended.pk)]}
    seen = api(ada).post("/runs/bulk", body | {"dry_run": True}).json()
    assert seen["reasons"][0]["reason"] == "A run that hangs together with it goes on."
    assert api(ada).post("/runs/bulk", body).json()["refused"] == 1
    Run.objects.filter(pk=child.pk).update(tags=["x"], status="cancelled")
    assert api(ada).post("/runs/bulk", body).json()["done"] == 1
    child.refresh_from_db()
    assert child.parent_id is None


def test_retrying_in_bulk_starts_new_runs(api, ana, make_run):
    failed, live = make_run(status="failed"), make_run(status="running")
    told = api(ana).post("/runs/bulk", {"action": "retry", "ids": [failed.pk, live.pk]}).json()
    assert (told["done"], told["refused"]) == (1, 1), told["refusals"]
    assert Run.objects.get(parent=failed).relation == "retry"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": []}, "action"),
        ({"action": "explode", "ids": ["0192c4f1-0000-7000-8000-00007f3a91c2"]}, "action"),
        ({"action": "cancel"}, "ids"),
        ({"action": "cancel", "ids": []}, "ids"),
        ({"action": "cancel", "ids": ["nonsense"]}, "ids"),
        ({"action": "cancel", "ids": "all"}, "ids"),
        ({"action": "cancel", "filter": []}, "filter"),
        ({"action": "cancel", "filter": {"status": "odd"}}, "status"),
        ({"action": "cancel", "filter": {}, "ids": []}, "ids"),
        ({"action": "cancel", "filter": {"project": "x"}}, "filter.project"),
        ({"action": "cancel", "filter": {}, "extra": 1}, "extra"),
        ({"action": "cancel", "filter": {}, "options": {"a": 1}}, "options.a"),
    ],
)
def test_a_bad_body_is_refused_by_field(api, ana, make_run, body, field):
    answer = api(ana).post("/runs/bulk", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_the_api_previews_counts_and_repeats_by_key(api, ana, make_run, bo):
    make_run(status="queued")
    make_run(status="failed")
    body = {"action": "cancel", "filter": {"status": ["queued", "failed"]}}
    seen = api(ana).post("/runs/bulk", body | {"dry_run": True}).json()
    assert seen == {
        "total": 2, "total_exact": True, "doable": 1, "refused": 1,
        "reasons": [{"reason": "It has ended already.", "count": 1}],
    }  # fmt: skip
    assert statuses() == ["failed", "queued"]
    first = api(ana).post("/runs/bulk", body, headers={"Idempotency-Key": "k1"})
    second = api(ana).post("/runs/bulk", body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = api(ana).post(
        "/runs/bulk", body | {"action": "retry"}, headers={"Idempotency-Key": "k1"}
    )
    assert other.json()["code"] == "idempotency_key_reused"
    job = f"/bulk-jobs/{first.json()['id']}"
    assert api(ana).get(job).json()["done"] == 1
    assert api(bo).get(job).status_code == 404
    assert api(ana).get("/bulk-jobs").json()["count"] == 1
    assert api(ana).post(f"{job}/stop").json()["code"] == "job_ended"


def test_what_strangers_own_is_out_of_reach(api, bo, make_run):
    run = make_run(status="queued")
    told = api(bo).post("/runs/bulk", {"action": "cancel", "ids": [str(run.pk)]}).json()
    assert told["reasons"] == [{"reason": bulk.GONE, "count": 1}]
    told = api(bo).post("/runs/bulk", {"action": "cancel", "filter": {}}).json()
    assert (told["total"], told["done"]) == (0, 0)


def test_the_scopes_of_a_key_hold_for_each_row(api, own, project, make_run):
    make_run(status="queued")
    own.forget_roles()
    key, _ = keys.create(actor=own, project=project, name="k", scopes=["runs:read"])
    own.api_key = key
    told = api(own).post("/runs/bulk", {"action": "cancel", "filter": {}}).json()
    assert (told["done"], told["refused"]) == (0, 1)
    assert BulkJob.objects.get().key_id == key.pk
    assert api(own).get("/bulk-jobs").json()["count"] == 1


def test_registries_are_tagged_set_and_deleted(web, api, ana, make_tool, make_agent):
    one, two = make_tool(slug="a", tags=["old", "x"]), make_tool(slug="b")
    used = make_agent(slug="c", config={"provider": "openai", "model": "m", "tools": []})
    browser = web(ana)
    body = {"action": "tags", "id": [one.pk, two.pk]}
    assert "Put on" in browser.post("/bulk/tools/", body, **HTMX).content.decode()
    body |= {"confirmed": "yes", "once": "t"}
    empty = browser.post("/bulk/tools/", body, **HTMX)
    assert empty.status_code == 422
    assert "Name a tag." in empty.content.decode()
    browser.post("/bulk/tools/", body | {"add": "new", "remove": "old"}, **HTMX)
    assert list(Tool.objects.order_by("slug").values_list("tags", flat=True)) == [
        ["x", "new"], ["new"],
    ]  # fmt: skip
    assert AuditEntry.objects.filter(action="tool.changed").count() == 2
    told = api(ana).post(
        "/agents/bulk", {"action": "status", "ids": [used.pk], "options": {"status": "disabled"}}
    )
    assert told.json()["done"] == 1
    assert Agent.objects.get().status == "disabled"
    told = api(ana).post("/tools/bulk", {"action": "delete", "filter": {"tag": "new"}}).json()
    assert told["done"] == 2
    assert Tool.objects.exclude(deleted_at=None).count() == 2


def test_what_is_in_use_is_refused_before_and_after(api, ana, make_agent, project):
    agent = make_agent()
    dev = project.environments.get(name="dev")
    Deployment.objects.create(
        project=project, agent=agent, environment=dev, target_version=agent.current
    )
    body = {"action": "delete", "ids": [str(agent.pk)]}
    seen = api(ana).post("/agents/bulk", body | {"dry_run": True}).json()
    assert seen["reasons"] == [{"reason": "Something still uses it.", "count": 1}]
    told = api(ana).post("/agents/bulk", body).json()
    assert told["refusals"][0]["reason"] == "Still in use by its deployment in dev."


def test_viewers_choose_but_do_nothing(web, vic, make_run):
    run = make_run(status="queued")
    browser = web(vic)
    html = browser.get("/runs/").content.decode()
    assert 'form="bulk-form"' in html
    assert 'name="action"' not in html
    assert browser.post("/bulk/runs/", {"action": "cancel", "id": run.pk}).status_code == 403
    assert browser.post("/bulk/nothing/", {"action": "cancel"}).status_code == 404

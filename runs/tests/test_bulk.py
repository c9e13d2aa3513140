"""Verbs on many runs: pausing, resuming, replaying, tagging. The kit's own: controlplane/tests."""

import pytest
from django.test import Client

from controlplane.kit import background, bulk, bulk_jobs
from controlplane.kit.models import BulkJob
from governance.models import AuditEntry
from runs.bulk import RunBulk
from runs.models import Run, Step


def statuses():
    return sorted(Run.objects.values_list("status", flat=True))


@pytest.fixture
def mixed(make_run):
    """One run of each kind that matters, by what it is."""
    found = {word: make_run(status=word) for word in ("running", "paused", "cancelling", "failed")}
    Run.objects.filter(pk=found["cancelling"].pk).update(end_status="cancelled")
    found["parked"] = make_run(status="waiting", open_steps=1)
    Step.objects.create(
        run=found["parked"], node="work", kind="tool", name="Work", status="parked",
        reason="crashed", crash_count=3,
    )  # fmt: skip
    return found


# Verb → how many of the five it can be done to, why not to the others, the audit row of each.
VERBS = {
    "pause": (
        2,
        {"It has ended already.", "It is being stopped.", "It is paused already."},
        "run.paused",
    ),
    "resume": (1, {"It has ended already.", "It is not paused."}, "run.resumed"),
    "replay": (
        1,
        {"It has ended: retry it instead.", "It is being stopped.", "No step of it is parked."},
        "run.replayed",
    ),
    "cancel": (3, {"It has ended already.", "It is being stopped."}, "run.cancelled"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_preview_tells_what_the_doing_then_does(api, ana, mixed, verb):
    doable, reasons, audited = VERBS[verb]
    body = {"action": verb, "filter": {"status": list(dict.fromkeys(statuses()))}}
    seen = api(ana).post("/runs/bulk", body | {"dry_run": True}).json()
    assert (seen["total"], seen["doable"]) == (5, doable)
    assert {each["reason"] for each in seen["reasons"]} == reasons
    assert not AuditEntry.objects.filter(action=audited).exists()
    answer = api(ana).post("/runs/bulk", body)
    told = answer.json()
    assert answer.status_code == 201
    assert (told["done"], told["refused"]) == (doable, 5 - doable), told["refusals"]
    assert AuditEntry.objects.filter(action=audited).count() == doable


def test_a_paused_run_goes_on_and_a_parked_step_is_queued_again(api, ana, mixed):
    ids = [str(mixed["paused"].pk)]
    api(ana).post("/runs/bulk", {"action": "resume", "ids": ids})
    mixed["paused"].refresh_from_db()
    assert mixed["paused"].status == "running"
    api(ana).post("/runs/bulk", {"action": "replay", "ids": [str(mixed["parked"].pk)]})
    step = mixed["parked"].steps.get()
    assert (step.status, step.crash_count) == ("ready", 0)


def test_tags_are_put_on_and_taken_off_once_a_run_has_ended(api, ana, mixed, make_run):
    red = make_run(status="failed", tags=["old", "kept"])
    full = make_run(status="failed", tags=[f"t{n}" for n in range(50)])
    ids = [str(run.pk) for run in (red, full, mixed["running"])]
    body = {"action": "tags", "ids": ids, "options": {"add": ["new"], "remove": ["old"]}}
    seen = api(ana).post("/runs/bulk", body | {"dry_run": True}).json()
    assert seen["reasons"] == [{"reason": "It has not ended.", "count": 1}]
    before = api(ana).get(f"/runs/{red.pk}").headers["ETag"]
    told = api(ana).post("/runs/bulk", body).json()
    assert (told["done"], told["refused"]) == (1, 2)
    assert "A run has at most 50 tags." in {each["reason"] for each in told["reasons"]}
    answer = api(ana).get(f"/runs/{red.pk}")
    assert answer.json()["tags"] == ["kept", "new"]
    assert answer.headers["ETag"] != before
    entry = AuditEntry.objects.get(action="run.tagged")
    assert (entry.before, entry.after) == ({"tags": ["old", "kept"]}, {"tags": ["kept", "new"]})
    wrong = api(ana).post("/runs/bulk", {**body, "options": {}})
    assert wrong.json()["errors"][0]["field"] == "options.add"


def test_many_are_paused_in_the_background_with_a_report(
    api, ana, make_run, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(background, "wake", lambda name, key: bulk_jobs.carry_out(str(key)))
    for _ in range(4):
        make_run(status="running")
    make_run(status="succeeded")
    with django_capture_on_commit_callbacks(execute=True):
        begun = api(ana).post("/runs/bulk", {"action": "pause", "filter": {}})
    assert (begun.status_code, begun.json()["status"]) == (202, "queued")
    told = api(ana).get(f"/bulk-jobs/{begun.json()['id']}").json()
    assert (told["status"], told["total"], told["done"]) == ("succeeded", 5, 4)
    assert told["reasons"] == [{"reason": "Only a live run can be paused.", "count": 1}]
    assert statuses() == ["paused"] * 4 + ["succeeded"]


@pytest.mark.parametrize("verb", [act.name for act in RunBulk.acts])
def test_a_viewer_does_none_of_it(api, vic, mixed, verb):
    browser = Client()
    browser.force_login(vic, backend="allauth.account.auth_backends.AuthenticationBackend")
    ids = [run.pk for run in mixed.values()]
    page = browser.post("/bulk/runs/", {"action": verb, "id": ids})
    assert page.status_code == 403
    options = {"add": ["x"]} if verb == "tags" else {}
    body = {"action": verb, "ids": ids, "options": options}
    told = api(vic).post("/runs/bulk", body).json()
    assert (told["done"], told["refused"]) == (0, 5)
    assert BulkJob.objects.get().done == 0
    assert statuses() == ["cancelling", "failed", "paused", "running", "waiting"]

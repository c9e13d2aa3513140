"""Queues by page and API."""

import pytest
from django.test import Client

from agents.models import Deployment, Instance
from controlplane.kit.ids import uuid7
from runs.models import Run, Step

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def make_parked(make_run):
    """`make_parked(**fields)`: a run with one parked step."""

    def make(**fields):
        run = make_run(status="waiting", open_steps=1)
        facts = {
            "run": run, "node": "load", "kind": "tool", "name": "Load", "status": "parked",
            "reason": "crashed", "crash_count": 3, "error": {"message": "<b>died"},
        }  # fmt: skip
        Step.objects.create(**{**facts, **fields})
        return run

    return make


@pytest.fixture
def deployment(make_agent, project):
    """A deployment of an agent to dev."""
    agent = make_agent()
    return Deployment.objects.create(
        project=project, agent=agent, target_version=agent.current,
        environment=project.environments.get(name="dev"),
    )  # fmt: skip


def web(user):
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


def test_queues_are_listed_with_those_who_serve_them(api, vic, bo, make_run, deployment):
    queue = f"deployment.{deployment.pk}"
    Step.objects.create(
        run=make_run(status="queued"), node="a", kind="agent", name="A", status="ready", queue=queue
    )
    Instance.objects.create(host="h", capacity=4, in_flight=1, state="busy")
    answer = api(vic).get("/queues").json()
    assert (answer["count"], answer["count_exact"]) == (2, True)
    pool, own = answer["results"]
    assert (pool["name"], pool["workers"], pool["capacity"]) == ("shared", 1, 4)
    assert (own["name"], own["title"], own["depth"]) == (queue, "Packer in dev", 1)
    assert api(vic).get(f"/queues/{queue}").json()["workers"] == 0
    assert api(bo).get(f"/queues/{queue}").status_code == 404
    assert api(bo).get("/queues").json()["count"] == 1
    assert api(vic).get(f"/queues?project={uuid7()}").json()["results"] == []
    assert api(vic).get("/queues?project=x").status_code == 422


def test_parked_runs_are_replayed_one_by_one_or_together(api, ana, vic, bo, make_parked):
    runs = [make_parked() for _ in range(3)]
    other = make_parked(queue="elsewhere")
    rows = api(vic).get("/queues/shared/parked").json()["results"]
    assert {row["run"] for row in rows} == {str(run.pk) for run in runs}
    assert (rows[0]["name"], rows[0]["crash_count"]) == ("Load", 3)
    path = "/queues/shared/parked/replay"
    denied = api(vic).post(path, {}, format="json").json()
    assert (denied["replayed"], len(denied["refused"]), denied["left"]) == ([], 3, 3)
    assert api(bo).post(path, {}, format="json").json() == {
        "replayed": [], "refused": [], "left": 0,
    }  # fmt: skip
    wanted = [str(runs[0].pk), str(other.pk)]
    answer = api(ana).post(path, {"runs": wanted}, format="json").json()
    assert (answer["replayed"], answer["left"]) == ([str(runs[0].pk)], 2)
    assert [(each["run"], each["code"]) for each in answer["refused"]] == [
        (str(other.pk), "not_parked")
    ]
    assert api(ana).post(path, {"runs": []}, format="json").status_code == 422
    assert len(api(ana).post(path, {}, format="json").json()["replayed"]) == 2
    again = api(ana).post(f"/runs/{runs[0].pk}/replay", {}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "not_parked")


def test_the_page_shows_what_waits_and_puts_back_what_was_parked(ana, vic, make_parked):
    run = make_parked()
    html = web(vic).get("/queues/").content.decode()
    assert "Shared pool" in html
    assert "3 crashes: &lt;b&gt;died" in html
    assert "Replay" not in html
    browser = web(ana)
    assert "Replay all" in browser.get("/queues/", **HTMX).content.decode()
    answer = browser.post("/queues/replay/", **HTMX)
    assert "1 run replayed." in answer.headers["HX-Trigger"]
    assert Run.objects.get(pk=run.pk).status == "running"
    assert "Nothing is parked" in browser.get("/queues/").content.decode()


def test_a_parked_run_can_be_replayed_from_its_page(ana, vic, make_parked):
    run = make_parked()
    assert f"/runs/{run.pk}/replay/" in web(ana).get(run.get_absolute_url()).content.decode()
    assert "/replay/" not in web(vic).get(run.get_absolute_url()).content.decode()

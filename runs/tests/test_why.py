"""The sentences of lists and runs, as the rows of this moment tell them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Instance
from controlplane.kit.database import query
from governance.models import Approval
from runs import why
from runs.models import Effect, Step
from runs.why import sentences


@pytest.fixture
def make_step():
    """`make_step(run, status, **fields)`."""

    def make(run, status="ready", **fields):
        node = fields.pop("node", "a")
        now = timezone.now()
        return Step.objects.create(
            **{"run": run, "node": node, "kind": "tool", "name": node.upper(), "status": status,
               "ready_at": now, **fields}
        )  # fmt: skip

    return make


@pytest.fixture
def told(make_run, make_step):
    """`told(run status, step status, **fields)`: the sentence of such a run."""

    def tell(status, step, **fields):
        run = make_run(status=status)
        make_step(run, step, **fields)
        return sentences([run])[run.pk]

    return tell


def test_a_queued_run_counts_what_could_be_taken_before_it(make_run, make_step):
    Instance.objects.create(host="h", state="busy", capacity=1, in_flight=1)
    now = timezone.now()
    runs = [make_run(status="queued") for _ in range(4)]
    for n, run in enumerate(runs):
        make_step(run, ready_at=now + timedelta(seconds=n), priority=5 if n == 3 else 0)
    make_step(make_run(status="paused"), ready_at=now - timedelta(1))
    make_step(make_run(status="queued"), ready_at=now - timedelta(1), pool="io")
    found = sentences(runs)
    assert [found[run.pk].split("; ")[0] for run in runs] == [
        "Queued: behind 1 other step",
        "Queued: behind 2 other steps",
        "Queued: behind 3 other steps",
        "Queued: next in line",
    ]
    assert found[runs[3].pk].endswith("1 worker is alive and busy.")
    assert "at least 2 other" in sentences([runs[2]], counted_to=2)[runs[2].pk]


def test_without_a_worker_nobody_takes_it(told):
    Instance.objects.create(host="h", state="dead", capacity=4)
    assert told("queued", "ready") == "Queued: no worker is alive to take it."


def test_what_a_step_waits_for_is_named(told, make_run, make_step, project, vic):
    assert "the signal go." in told("waiting", "waiting", reason="signal", state={"signal": "go"})
    assert "“Ship?”" in told("waiting", "waiting", reason="form", state={"title": "Ship?"})
    run = make_run(status="waiting")
    asked = Approval.objects.create(
        project=project, run_id=run.pk, subject="step", title="t", action_sha256="x",
        assignees=[str(vic.pk), "admin"], quorum=2,
    )  # fmt: skip
    make_step(run, "waiting", reason="approval", approval_id=asked.pk)
    doubtful = make_run(status="waiting")
    step = make_step(doubtful, "waiting", reason="reconcile")
    Effect.objects.create(
        run=doubtful, step=step, ordinal=0, key="k", tool_name="pay", state="unknown"
    )
    found = sentences([run, doubtful])
    assert found[run.pk] == "A waits for an approval by Vic, admin (0 of 2 so far)."
    assert "may or may not have called pay" in found[doubtful.pk]


def test_a_run_that_waits_for_another_says_how_that_one_stands(make_run, make_step):
    parent, child = make_run(status="waiting"), make_run(status="paused")
    make_step(parent, "waiting", reason="child", state={"run": str(child.pk)})
    assert sentences([parent])[parent.pk] == (
        f"A waits for a run of {child.workflow.name}, which is paused."
    )


def test_a_list_is_explained_by_a_fixed_number_of_queries(make_run, make_step, monkeypatch):
    asked = []

    def counted(statement, params):
        asked.append(statement)
        return query(statement, params)

    monkeypatch.setattr(why, "query", counted)

    def queries(count):
        runs = [make_run(status=status) for status in ("queued", "waiting") * count]
        for run in runs:
            make_step(run, "ready" if run.status == "queued" else "waiting", reason="timer")
        asked.clear()
        sentences(runs)
        return len(asked)

    assert queries(1) == queries(8) == 3
    asked.clear()
    sentences([make_run(status="failed") for _ in range(3)])
    assert asked == []


def test_api_and_pages_say_it(api, vic, make_run, make_step):
    run = make_run(status="waiting")
    make_step(run, "waiting", reason="signal", state={"signal": "<go>"})
    said = "A waits for the signal <go>."
    assert api(vic).get("/runs").json()["results"][0]["explanation"] == said
    assert api(vic).get(f"/runs/{run.pk}").json()["explanation"] == said
    browser = Client()
    browser.force_login(vic, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in ("/runs/", run.get_absolute_url()):
        assert "the signal &lt;go&gt;." in browser.get(path).content.decode()

"""The freeze switch by API and page: who may turn it, what is said, what is refused meanwhile."""

import pytest
from django.test import Client

from governance.models import AuditEntry
from projects.models import Environment

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


@pytest.fixture
def path(project):
    return f"/projects/{project.pk}"


def test_an_owner_freezes_and_thaws_a_project_or_one_environment(api, own, project, path):
    ask = api(own)
    found = ask.post(f"{path}/freeze", {"reason": "an incident"}, format="json").json()
    assert (found["frozen_by"], found["frozen_reason"]) == ("Own", "an incident")
    first = found["frozen_at"]
    again = ask.post(f"{path}/freeze", {"reason": "other"}, format="json")
    assert (again.status_code, again.json()["frozen_at"]) == (200, first)
    assert ask.post(f"{path}/freeze", {"environment": "dev"}, format="json").status_code == 200
    assert ask.post(f"{path}/unfreeze", {}, format="json").json()["frozen_at"] is None
    dev = Environment.objects.get(project=project, name="dev")
    assert dev.frozen_by == "Own"
    assert ask.post(f"{path}/unfreeze", {"environment": "dev"}, format="json").status_code == 200
    dev.refresh_from_db()
    assert dev.frozen_at is None
    actions = AuditEntry.objects.filter(project_id=project.pk).order_by("id")
    assert list(actions.values_list("action", flat=True))[-4:] == [
        "project.frozen", "environment.frozen", "project.thawed", "environment.thawed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body", [{"environment": "nowhere"}, {"environment": 7}, {"why": "x"}, {"reason": "x" * 501}]
)
def test_what_cannot_be_frozen_is_named(api, own, path, body):
    assert api(own).post(f"{path}/freeze", body, format="json").status_code == 422


def test_starts_and_calls_that_do_more_than_read_are_refused_meanwhile(
    api, own, project, path, make_workflow, make_tool
):
    workflow = make_workflow()
    risky = make_tool(slug="risky", config={"function": "webhook_send"})
    echo = make_tool(slug="echo2", config={"function": "echo"})
    ask = api(own)
    ask.post(f"{path}/freeze", {"reason": "an incident"}, format="json")
    start = {"workflow": str(workflow.pk), "environment": "dev", "input": {}}
    refused = ask.post("/runs", start, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "frozen")
    assert "frozen by Own at 20" in refused.json()["detail"]
    batch = ask.post("/runs/batch", {"runs": [start]}, format="json").json()
    assert batch["results"][0]["problem"]["code"] == "frozen"
    schema = {"arguments": {"url": "https://a.example.com", "payload": {}}}
    refused = ask.post(f"/tools/{risky.pk}/test", schema, format="json")
    assert (refused.status_code, refused.json().get("code")) in ((409, "frozen"), (422, "invalid"))
    assert ask.post(f"/tools/{echo.pk}/test", {"arguments": {}}, format="json").json()["ok"]


def test_the_top_bar_tells_everybody_and_lets_the_owner_turn_it(web, own, vic, project):
    url = f"/freeze/{project.pk}/"
    assert url in web(own).get("/tools/").content.decode()
    assert url not in web(vic).get("/tools/").content.decode()
    assert web(vic).get(url).status_code == 403
    dialog = web(own).get(url, **HTMX).content.decode()
    assert "Nothing new starts" in dialog
    answer = web(own).post(url, {"where": str(project.pk), "reason": "stop"}, **HTMX)
    assert answer.status_code == 204
    assert f'href="{url}"' not in web(own).get("/freeze/state/", **HTMX).content.decode()
    for user in (own, vic):
        html = web(user).get("/tools/").content.decode()
        assert "frozen by Own at" in html
        assert "(stop)" in html
    assert "Project" in web(own).get(f"{url}thaw/", **HTMX).content.decode()
    thaw = web(own).post(f"{url}thaw/", {"where": str(project.pk)}, **HTMX)
    assert thaw.status_code == 204
    project.refresh_from_db()
    assert project.frozen_at is None
    assert web(own).post(f"{url}thaw/", {"where": str(project.pk)}, **HTMX).status_code == 422

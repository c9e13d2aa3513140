"""Calls in doubt by page and API: what is shown, what a word does, what is refused."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from runs.models import Effect, Step

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
def make_doubt(make_run):
    """`make_doubt(**fields)`: a call in doubt of a run of its own."""

    def make(**fields):
        run = make_run(status="waiting", open_steps=1)
        step = Step.objects.create(
            run=run, node="pay", kind="tool", name="Pay", status="waiting", reason="reconcile"
        )
        facts = {
            "run": run, "step": step, "ordinal": 0, "key": "k", "tool_name": "pay",
            "effect_class": "unsafe", "args_sha256": "0" * 64, "arguments": {"to": "<b>Oslo</b>"},
            "state": "unknown",
        }  # fmt: skip
        return Effect.objects.create(**{**facts, **fields})

    return make


def test_the_inbox_shows_open_calls_first_and_leaves_others_out(web, vic, make_doubt):
    make_doubt(tool_name="settled", state="resolved", resolution="done", resolved_by={"name": "A"})
    make_doubt(tool_name="fine", state="done")
    make_doubt(tool_name="dubious")
    html = web(vic).get("/reconciliations/").content.decode()
    assert html.index("dubious") < html.index("settled")
    assert "It happened · A" in html
    assert ">fine <" not in html
    assert "1 call may or may not have happened" in html
    assert "Undo it" not in html
    assert 'id="reconcile-badge"' in html


def test_the_list_asks_the_same_number_of_queries_for_any_number_of_rows(web, ana, make_doubt):
    def queries():
        browser = web(ana)
        browser.get("/reconciliations/")
        with CaptureQueriesContext(connection) as caught:
            browser.get("/reconciliations/")
        return len(caught)

    make_doubt()
    few = queries()
    for _ in range(9):
        make_doubt()
    assert queries() == few


def test_the_page_shows_what_was_called_and_the_words_one_may_say(web, ana, vic, make_doubt):
    effect = make_doubt()
    html = web(ana).get(effect.get_absolute_url()).content.decode()
    assert "&lt;b&gt;Oslo" in html
    for word in ("Undo it", "Make it again", "It happened"):
        assert word in html
    assert "It happened" not in web(vic).get(effect.get_absolute_url()).content.decode()


def test_a_word_by_the_dialog_resolves_it_once(web, ana, make_doubt):
    effect = make_doubt()
    url = f"{effect.get_absolute_url()}done/"
    browser = web(ana)
    assert "Oslo" in browser.get(url, **HTMX).content.decode()
    assert browser.post(url, {"output": "{bad"}, **HTMX).status_code == 422
    answer = browser.post(url, {"output": '{"paid": 1}', "comment": "saw it"}, **HTMX)
    assert answer.status_code == 204
    assert "effect-changed" in answer.headers["HX-Trigger"]
    effect.refresh_from_db()
    assert (effect.state, effect.result, effect.comment) == ("resolved", {"paid": 1}, "saw it")
    assert browser.post(url, {"output": "{}"}, **HTMX).status_code in (409, 422)
    step = Step.objects.get(pk=effect.step_id)
    assert (step.status, step.state) == ("ready", {"resumed": True})


def test_the_api_lists_filters_and_takes_a_word(api, ana, make_doubt):
    effect = make_doubt()
    make_doubt(state="resolved", resolution="redo")
    ask = api(ana)
    rows = ask.get("/reconciliations?status=unknown").json()["results"]
    assert [row["id"] for row in rows] == [str(effect.pk)]
    assert (rows[0]["status"], rows[0]["resolution"]) == ("open", None)
    assert "arguments" not in rows[0]
    assert ask.get("/reconciliations?resolution=redo").json()["count"] == 1
    assert ask.get("/reconciliations?status=nonsense").status_code == 422
    path = f"/reconciliations/{effect.pk}"
    assert ask.get(path).json()["arguments"] == {"to": "<b>Oslo</b>"}
    nothing = {"action": "compensate", "compensation": {"workflow": str(effect.pk)}}
    for body in ({}, {"action": "guess"}, {"action": "redo", "more": 1}, nothing):
        assert ask.post(f"{path}/resolve", body, format="json").status_code == 422, body
    body = {"action": "done", "output": {"n": 1}, "comment": "c"}
    answer = ask.post(f"{path}/resolve", body, format="json").json()
    assert (answer["status"], answer["output"], answer["resolved_by"]["name"]) == (
        "resolved", {"n": 1}, "Ana",
    )  # fmt: skip
    second = ask.post(f"{path}/resolve", body, format="json")
    assert (second.status_code, second.json()["code"]) == (409, "already_resolved")


def test_a_run_that_undoes_needs_a_workflow_of_the_project(api, ana, make_doubt, make_workflow, bo):
    effect, undo = make_doubt(), make_workflow(slug="undo")
    path = f"/reconciliations/{effect.pk}/resolve"
    undoing = {"workflow": str(undo.pk), "input": {"a": 1}}
    answer = api(ana).post(path, {"action": "compensate", "compensation": undoing}, format="json")
    assert answer.status_code == 200, answer.content
    started = api(ana).get(f"/runs/{answer.json()['compensation_run_id']}").json()
    assert (started["input"], started["tags"]) == ({"a": 1}, ["compensation"])


@pytest.fixture
def make_undoable(make_doubt, make_tool):
    """`make_undoable(undo)`: a call in doubt of a tool that names another to undo it."""

    def make(function="echo"):
        make_tool(slug="refund", config={"function": function})
        named = {"tool": "refund", "arguments": {"back": "${arguments.to}"}}
        pay = make_tool(slug="pay", effect_class="unsafe", effect_undo=named)
        return make_doubt(tool_id=pay.pk)

    return make


def test_compensating_by_the_api_calls_what_undoes(api, ana, make_undoable):
    effect = make_undoable()
    path = f"/reconciliations/{effect.pk}"
    found = api(ana).get(path).json()
    assert (found["undo"]["tool"], found["undoings"]) == ("refund", [])
    refused = {"action": "done", "by_hand": True}
    assert api(ana).post(f"{path}/resolve", refused, format="json").status_code == 422
    answer = api(ana).post(f"{path}/resolve", {"action": "compensate"}, format="json").json()
    assert (answer["status"], answer["resolution"]) == ("resolved", "compensate")
    [made] = answer["undoings"]
    assert (made["tool_name"], made["state"]) == ("refund", "done")
    assert made["result"] == made["arguments"] == {"back": "<b>Oslo</b>"}


def test_the_dialog_undoes_by_the_tool_or_says_why_not(web, ana, make_undoable):
    effect = make_undoable("fail")
    page, dialog = f"/reconciliations/{effect.pk}/", f"/reconciliations/{effect.pk}/compensate/"
    assert "By the tool refund" in web(ana).get(dialog, **HTMX).content.decode()
    answer = web(ana).post(dialog, {"workflow": "tool", "comment": "c"}, **HTMX)
    assert answer.status_code == 422
    assert "could not undo it: Failed on purpose." in answer.content.decode()
    html = web(ana).get(page).content.decode()
    assert "Undone by refund" in html
    assert "failed, Failed on purpose." in html
    effect.refresh_from_db()
    assert effect.is_open
    assert web(ana).post(dialog, {"workflow": "", "comment": "c"}, **HTMX).status_code == 204
    effect.refresh_from_db()
    assert effect.resolution == "compensate"

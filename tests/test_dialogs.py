"""What every dialog does, with htmx and as a plain page, shown on tools, agents and runs."""

import json
import re
from html import unescape

import pytest
from django.test import Client

from agents.models import Agent
from governance.models import AuditEntry
from runs.models import Run
from tests.support.cast import MODEL
from tools.models import Tool

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "dialog"}
TOOL = {
    "kind": "python", "name": "Echo", "slug": "echo", "description": "", "tags": "a, b, a",
    "config": '{"function": "echo"}', "input_schema": "", "output_schema": "",
    "effect_class": "read", "stakes": "read", "timeout_seconds": "5", "rate_limit": "",
}  # fmt: skip

ONCE = {"once": "0192c4f1-0000-7000-8000-00007f3a91c2"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


def test_a_dialog_is_a_fragment_or_a_page(web, ana):
    part = web(ana).get("/tools/new/", **HTMX).content.decode()
    page = web(ana).get("/tools/new/").content.decode()
    assert "<html" not in part
    assert 'hx-post="/tools/new/"' in part
    assert page.startswith("<!doctype html>")
    assert 'action="/tools/new/"' in page


def test_creating_saves_by_the_rules_of_the_api_and_goes_to_the_new_thing(web, ana):
    answer = web(ana).post("/tools/new/", TOOL, **HTMX)
    tool = Tool.objects.get(slug="echo")
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == tool.get_absolute_url()
    assert tool.tags == ["a", "b"]
    assert tool.input_schema == {"type": "object"}
    assert AuditEntry.objects.filter(action="tool.created", target_id=str(tool.pk)).exists()


def test_creating_works_without_javascript(web, ana):
    answer = web(ana).post("/tools/new/", TOOL, follow=True)
    assert answer.redirect_chain[-1][0] == Tool.objects.get(slug="echo").get_absolute_url()
    assert "Tool Echo created." in answer.content.decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"config": "{"}, "is not valid JSON"),
        ({"config": "[]"}, "This must be an object"),
        ({"config": '{"function": "rm"}'}, "function"),
        ({"config": '{"function": "echo", "x": NaN}'}, "NaN"),
        ({"name": ""}, "This field is required."),
        ({"slug": "Not A Slug"}, "slug"),
        ({"input_schema": '{"type": "nonsense"}'}, "nonsense"),
        ({"timeout_seconds": "-1"}, "0.1"),
    ],
)
def test_what_is_wrong_stands_beside_the_field_and_the_typed_is_kept(web, ana, wrong, words):
    answer = web(ana).post("/tools/new/", TOOL | {"description": "kept words"} | wrong, **HTMX)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert words in html
    assert "kept words" in html
    assert "data-invalid" in html
    assert not Tool.objects.exists()


def test_a_rule_of_the_database_is_told_beside_its_field(web, ana, make_tool):
    make_tool(slug="echo")
    html = web(ana).post("/tools/new/", TOOL, **HTMX).content.decode()
    assert "This project has a tool of that slug." in html


def test_editing_is_filled_with_what_is_and_tells_the_page(web, ana, make_tool):
    tool = make_tool(name="Old name")
    html = web(ana).get(f"/tools/{tool.pk}/edit/", **HTMX).content.decode()
    assert 'value="Old name"' in html
    assert '<option value="echo" selected>' in html
    assert 'name="slug"' not in html
    body = TOOL | {"name": "New name", "status": "inactive"}
    answer = web(ana).post(f"/tools/{tool.pk}/edit/", body, **HTMX)
    assert answer.status_code == 204
    told = json.loads(answer.headers["HX-Trigger"])
    assert told["tool-changed"] == {"id": str(tool.pk)}
    tool.refresh_from_db()
    assert (tool.name, tool.status, tool.slug) == ("New name", "inactive", "echo")


def test_another_definition_is_another_version(web, ana, make_tool):
    tool = make_tool()
    body = TOOL | {"status": "active", "config": '{"function": "noop"}'}
    web(ana).post(f"/tools/{tool.pk}/edit/", body, **HTMX)
    assert Tool.objects.get(pk=tool.pk).version == 2


def test_agents_are_made_the_same_way(web, ana):
    body = {"kind": "model", "name": "Packer", "slug": "packer", "config": json.dumps(MODEL),
            "description": "", "tags": ""}  # fmt: skip
    assert web(ana).post("/agents/new/", body, **HTMX).status_code == 204
    agent = Agent.objects.get(slug="packer")
    assert agent.config["model"] == "small"
    body |= {"config": json.dumps(MODEL | {"model": ""}), "name": "Kept"}
    html = web(ana).post(f"/agents/{agent.pk}/edit/", body | {"status": "active"}, **HTMX)
    assert html.status_code == 422
    assert "Kept" in html.content.decode()


def test_deleting_tells_what_hangs_on_it_and_asks_for_the_name_for_good(web, ana, make_tool):
    tool = make_tool(name="Echo")
    url = f"/tools/{tool.pk}/delete/"
    html = web(ana).get(url, **HTMX).content.decode()
    assert "Versions" in html
    refused = web(ana).post(url, {"hard": "true", "confirm_name": "Ech"}, **HTMX)
    assert refused.status_code == 422
    assert "This is not its name." in refused.content.decode()
    assert Tool.objects.filter(pk=tool.pk, deleted_at=None).exists()
    answer = web(ana).post(url, {"hard": "true", "confirm_name": "Echo"}, **HTMX)
    assert answer.headers["HX-Redirect"] == "/tools/"
    assert not Tool.objects.filter(pk=tool.pk).exists()


def test_deleting_softly_goes_to_the_trash(web, ana, make_tool):
    tool = make_tool()
    answer = web(ana).post(f"/tools/{tool.pk}/delete/", follow=True)
    assert "is in the trash" in answer.content.decode()
    assert Tool.objects.get(pk=tool.pk).deleted_at is not None
    assert web(ana).get(tool.get_absolute_url()).status_code == 404


def test_starting_a_run_takes_the_workflow_of_the_address(web, ana, make_workflow):
    schema = {"type": "object", "properties": {"city": {"type": "string", "default": "Oslo"}}}
    nodes = [{"id": "work", "kind": "transform", "set": {"answer": 42}}]
    definition = {"input_schema": schema, "nodes": nodes, "edges": []}
    make_workflow(slug="first")
    workflow = make_workflow(slug="second", definition=definition)
    html = web(ana).get(f"/runs/new/?workflow={workflow.pk}", **HTMX).content.decode()
    assert f'<option value="{workflow.pk}" selected>' in html
    assert "Takes city (string, optional)." in html
    assert "&quot;city&quot;: &quot;Oslo&quot;" in html


def test_a_run_is_started_by_the_service_of_the_api(web, ana, make_workflow):
    workflow = make_workflow()
    body = {"workflow": workflow.pk, "environment": "dev", "input": "{}", "tags": "x"} | ONCE
    answer = web(ana).post("/runs/new/", body, **HTMX)
    web(ana).post("/runs/new/", body, **HTMX)
    run = Run.objects.get()
    assert answer.headers["HX-Redirect"] == run.get_absolute_url()
    assert (run.trigger, run.tags, run.started_by_name) == ("manual", ["x"], "Ana")


def test_input_that_does_not_fit_is_told_beside_the_field(web, ana, make_workflow):
    schema = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
    nodes = [{"id": "work", "kind": "transform", "set": {"answer": 42}}]
    workflow = make_workflow(definition={"input_schema": schema, "nodes": nodes, "edges": []})
    body = {
        "workflow": workflow.pk,
        "environment": "dev",
        "input": '{"city": 7}',
        "tags": "",
    } | ONCE
    answer = web(ana).post("/runs/new/", body, **HTMX)
    assert answer.status_code == 422
    assert "id_input_error" in answer.content.decode()
    assert "&quot;city&quot;: 7" in answer.content.decode()
    assert not Run.objects.exists()


def test_an_ended_run_is_retried_into_a_new_one(web, ana, make_run):
    run = make_run(status="failed", input={"a": 1})
    html = web(ana).get(f"/runs/{run.pk}/retry/", **HTMX).content.decode()
    assert "&quot;a&quot;: 1" in html
    body = {"start_from": "start", "input": '{"a": 2}'}
    answer = web(ana).post(f"/runs/{run.pk}/retry/", body, **HTMX)
    assert answer.status_code == 204, answer.content.decode()
    new = Run.objects.exclude(pk=run.pk).get()
    assert answer.headers["HX-Redirect"] == new.get_absolute_url()
    assert (new.parent_id, new.relation, new.input) == (run.pk, "retry", {"a": 2})


def test_a_test_call_shows_what_came_back(web, ana, make_tool):
    tool = make_tool()
    html = (
        web(ana)
        .post(
            f"/tools/{tool.pk}/test/",
            {"arguments": '{"text": "hello"}'},
            HTTP_HX_REQUEST="true",
        )
        .content.decode()
    )
    assert 'id="test-result"' in html
    assert "hello" in html
    assert "Succeeded" in html


def carried(html):
    """The version and the texts a form takes along."""
    return {
        name: unescape(re.search(f'name="{name}" value="([^"]*)"', html)[1])
        for name in ("_version", "_base")
    }


def test_who_comes_second_sees_both_versions_and_loses_nothing(web, ana, ada, make_tool):
    tool = make_tool(name="Old", description="words")
    url = f"/tools/{tool.pk}/edit/"
    body = TOOL | {"name": "Old", "description": "words", "status": "active", "tags": ""}
    mine = carried(web(ana).get(url, **HTMX).content.decode())
    theirs = carried(web(ada).get(url, **HTMX).content.decode())
    assert web(ada).post(url, body | theirs | {"name": "Theirs", "tags": "eu"}, **HTMX).status_code
    answer = web(ana).post(url, body | mine | {"name": "Mine", "description": "better"}, **HTMX)
    html = answer.content.decode()
    assert answer.status_code == 412
    assert "both of you changed it" in html
    assert re.search(r'name="take-name" value="mine" checked', html)
    assert re.search(r'name="take-tags" value="theirs" checked', html)
    assert re.search(r'name="take-description" value="mine" checked', html)
    assert "take-stakes" not in html
    assert Tool.objects.get().name == "Theirs"
    chosen = {"name": "Mine", "description": "better", "take-name": "mine",
              "theirs-name": "Theirs", "take-description": "mine", "theirs-description": "words",
              "take-tags": "theirs", "theirs-tags": "eu"}  # fmt: skip
    answer = web(ana).post(url, body | carried(html) | chosen, **HTMX)
    assert answer.status_code == 204
    tool = Tool.objects.get()
    assert (tool.name, tool.description, tool.tags) == ("Mine", "better", ["eu"])


def test_a_conflict_is_a_page_without_javascript_and_comes_back_if_overtaken_again(
    web, ana, make_agent
):
    agent = make_agent(name="Packer")
    url = f"/agents/{agent.pk}/edit/"
    browser = web(ana)
    body = {"name": "Mine", "config": json.dumps(MODEL), "description": "", "tags": "",
            "status": "draft"}  # fmt: skip
    mine = carried(browser.get(url).content.decode())
    Agent.objects.get().save()
    first = browser.post(url, body | mine)
    assert first.status_code == 412
    assert first.content.decode().startswith("<!doctype html>")
    Agent.objects.get().save()
    again = browser.post(url, body | carried(first.content.decode()) | {"take-name": "mine"})
    assert again.status_code == 412
    done = browser.post(url, body | carried(again.content.decode()) | {"take-name": "mine"})
    assert done.status_code == 302
    assert Agent.objects.get().name == "Mine"


def test_a_mistake_in_a_conflict_keeps_version_and_words(web, ana, make_tool):
    tool = make_tool(name="Old")
    url = f"/tools/{tool.pk}/edit/"
    mine = carried(web(ana).get(url, **HTMX).content.decode())
    answer = web(ana).post(url, TOOL | mine | {"name": "", "description": "kept words"}, **HTMX)
    assert answer.status_code == 422
    assert carried(answer.content.decode()) == mine
    assert "kept words" in answer.content.decode()

"""What every list page does, shown on tools, agents and runs."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from controlplane.kit.pages import page_numbers
from tests.support.cast import make_user

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


def names(html):
    return re.findall(r'<td class="lead"><a href="[^"]+">\s*([\w -]+?)\s*<', html)


@pytest.mark.parametrize(
    ("number", "last", "found"),
    [
        (1, 1, [1]),
        (1, 3, [1, 2, 3]),
        (1, 400, [1, 2, None, 400]),
        (7, 400, [1, None, 6, 7, 8, None, 400]),
        (3, 400, [1, 2, 3, 4, None, 400]),
        (400, 400, [1, None, 399, 400]),
    ],
)
def test_few_page_numbers_are_offered(number, last, found):
    assert page_numbers(number, last) == found


def test_a_list_is_a_page_or_a_fragment_of_it(web, vic, make_tool):
    make_tool()
    page = web(vic).get("/tools/").content.decode()
    part = web(vic).get("/tools/", **HTMX).content.decode()
    assert page.startswith("<!doctype html>")
    assert "<html" not in part
    assert 'id="list"' in part
    assert names(page) == names(part) == ["Echo"]


def test_history_gets_a_whole_page_and_caches_tell_the_two_apart(web, vic):
    answer = web(vic).get("/tools/", **HTMX, HTTP_HX_HISTORY_RESTORE_REQUEST="true")
    assert answer.content.decode().startswith("<!doctype html>")
    assert "HX-Request" in answer.headers["Vary"]


def test_filters_are_those_of_the_api_and_show_as_chips(web, vic, make_tool):
    make_tool(slug="a", status="active")
    make_tool(slug="b", status="inactive")
    make_tool(slug="c", status="deprecated")
    html = web(vic).get("/tools/?status=inactive&status=deprecated").content.decode()
    assert names(html) == ["B", "C"]
    assert "Inactive, Deprecated" in html
    assert 'aria-label="Clear Status"' in html


def test_a_filter_answer_also_renews_the_chips(web, vic, make_tool):
    make_tool()
    part = web(vic).get("/tools/?status=active&ordering=-name", **HTMX).content.decode()
    assert '<span id="chip-status-words" hx-swap-oob="innerHTML">' in part
    assert '<input type="hidden" name="ordering" value="-name">' in part


def test_search_and_order_are_in_the_address(web, vic, make_tool):
    for slug in ("alpha", "beta", "alphabet"):
        make_tool(slug=slug)
    html = web(vic).get("/tools/?search=alpha&ordering=-name").content.decode()
    assert names(html) == ["Alphabet", "Alpha"]
    assert 'aria-sort="descending"' in html


def test_tags_are_offered_and_others_can_be_typed(web, vic, make_tool, make_run):
    make_tool(slug="a", tags=["eu", "fast"])
    make_tool(slug="b", tags=["eu"])
    make_run(tags=["nightly"])
    html = web(vic).get("/tools/?tag=eu&tag=").content.decode()
    assert names(html) == ["A", "B"]
    assert 'name="tag" value="fast"' in html
    assert 'name="tag" value="eu" checked' in html
    assert names(web(vic).get("/tools/?tag=eu&tag=fast").content.decode()) == ["A"]
    assert 'name="tag" value="typed" checked' in web(vic).get("/tools/?tag=typed").content.decode()
    assert 'name="tag" value="nightly"' in web(vic).get("/runs/").content.decode()


def test_presets_of_time_and_own_bounds_make_one_chip(web, vic, make_tool):
    make_tool(slug="a")
    browser = web(vic)
    assert "Last 7 days" in browser.get("/tools/?period=7d").content.decode()
    html = browser.get("/tools/?created_after=2020-01-01T00:00&created_before=2020-02-01").content
    assert names(html.decode()) == []
    assert "from 2020-01-01 00:00, until 2020-02-01" in html.decode()
    assert 'aria-label="Clear ' in html.decode()
    assert ">Clear all</a>" in html.decode()


def test_the_audit_log_offers_what_happened(web, ana, vic, make_tool):
    web(ana).post(f"/tools/{make_tool().pk}/delete/")
    html = web(vic).get("/audit/").content.decode()
    assert 'name="action" value="tool.trashed"' in html
    assert 'name="target_type" value="tool"' in html


@pytest.mark.parametrize(
    "query", ["status=nonsense", "created_after=yesterday", "page=0", "page=x"]
)
def test_a_bad_value_is_refused_in_words(web, vic, query):
    answer = web(vic).get(f"/tools/?{query}")
    assert answer.status_code in (400, 422)
    assert "This request makes no sense to us" in answer.content.decode()


def test_a_page_past_the_end_is_not_there(web, vic, make_tool):
    make_tool()
    assert web(vic).get("/tools/?page=2").status_code == 404
    assert web(vic).get("/tools/?page=401").status_code == 422


def test_pages_keep_the_filters(web, vic, make_tool):
    for n in range(30):
        make_tool(slug=f"t{n:02}")
    html = web(vic).get("/tools/?status=active").content.decode()
    assert "1–25 of 30" in html
    assert "?status=active&amp;page=2" in html
    assert len(names(web(vic).get("/tools/?status=active&page=2").content.decode())) == 5


def test_only_the_current_project_is_listed(web, bo, make_tool):
    make_tool()
    assert names(web(bo).get("/tools/").content.decode()) == []


def test_a_member_of_nothing_is_told_so(web, db):
    html = web(make_user("Alone")).get("/runs/").content.decode()
    assert "You are a member of no project" in html


@pytest.mark.parametrize("path", ["/tools/", "/agents/", "/runs/"])
def test_a_list_asks_the_same_number_of_queries_for_any_number_of_rows(
    path, web, ana, make_tool, make_agent, make_run
):
    def queries():
        browser = web(ana)
        browser.get(path)
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert browser.get(path).status_code == 200
        return len(caught)

    def add(count, first):
        for n in range(first, first + count):
            make_tool(slug=f"t{n}")
            make_agent(slug=f"a{n}")
            make_run(status="succeeded")

    add(1, 0)
    few = queries()
    add(9, 10)
    assert queries() == few
    assert few <= 18


def test_rows_can_be_fetched_alone(web, vic, make_run):
    one, two, other = make_run(status="running"), make_run(status="failed"), make_run()
    html = web(vic).get(f"/runs/?rows={one.pk},{two.pk},nonsense", **HTMX).content.decode()
    assert html.count("<tr ") == 2
    assert f'id="row-{one.pk}" hx-swap-oob="outerHTML"' in html
    assert str(other.pk) not in html


def test_runs_are_narrowed_to_the_environment_of_the_top_bar(web, ana, make_run):
    make_run(environment="dev")
    make_run(environment="prod")
    browser = web(ana)
    browser.get("/runs/")
    answer = browser.post(
        "/projects/choose-environment/", {"environment": "prod", "next": "/runs/"}
    )
    assert answer.headers["Location"] == "/runs/"
    assert len(names(browser.get("/runs/").content.decode())) == 1
    assert len(names(browser.get("/runs/?environment=dev").content.decode())) == 1
    assert len(names(browser.get("/runs/?environment=dev&environment=prod").content.decode())) == 2


def test_choosing_goes_back_to_our_own_pages_only(web, ana, project):
    browser = web(ana)
    evil = {"project": project.pk, "next": "https://evil.example/"}
    assert browser.post("/projects/choose/", evil).headers["Location"] == "/"
    away = {"environment": "", "next": "//evil.example/x"}
    assert browser.post("/projects/choose-environment/", away).headers["Location"] == "/"


def test_a_link_into_another_project_of_mine_makes_it_the_current_one(web, own, make_tool, bo):
    from_there = make_tool(slug="far")
    browser = web(own)
    browser.get(from_there.get_absolute_url())
    assert browser.session.get("project") in (None, str(from_there.project_id))
    assert web(bo).get(from_there.get_absolute_url()).status_code == 404


def test_verbs_are_offered_to_those_who_have_them(web, ana, vic, make_tool):
    make_tool()
    assert "New tool" in web(ana).get("/tools/").content.decode()
    html = web(vic).get("/tools/").content.decode()
    assert "New tool" not in html
    assert "Actions of Echo" not in html


def test_hostile_names_are_text_everywhere(web, ana, make_tool, make_run, make_workflow):
    name = '<img src=x onerror=alert(1)>"&'
    tool = make_tool(slug="evil", name=name)
    run = make_run(workflow=make_workflow(slug="evil", name=name), status="failed")
    browser = web(ana)
    for path in ("/tools/", "/runs/", "/", tool.get_absolute_url(), run.get_absolute_url()):
        html = browser.get(path).content.decode()
        assert "<img src=x" not in html, path
        assert "&lt;img src=x" in html, path


def test_a_toast_of_a_verb_comes_with_its_event(web, ana, make_run):
    run = make_run(status="running")
    answer = web(ana).post(f"/runs/{run.pk}/pause/", **HTMX)
    assert answer.status_code == 204
    told = json.loads(answer.headers["HX-Trigger"])
    assert told["toast"]["level"] == "success"
    assert told["run-changed"] == {"id": str(run.pk)}


def test_a_refused_verb_says_why(web, ana, make_run):
    run = make_run(status="succeeded")
    answer = web(ana).post(f"/runs/{run.pk}/pause/", **HTMX)
    assert answer.status_code == 409
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["level"] == "error"
    plain = web(ana).post(f"/runs/{run.pk}/pause/", HTTP_REFERER=f"/runs/{run.pk}/", follow=True)
    assert "Only a live run can be paused." in plain.content.decode()


def test_htmx_is_sent_to_the_sign_in_and_back_to_its_page(db):
    answer = Client().get(
        "/tools/", **HTMX, HTTP_HX_CURRENT_URL="http://testserver/tools/?search=a"
    )
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=%2Ftools%2F%3Fsearch%3Da"

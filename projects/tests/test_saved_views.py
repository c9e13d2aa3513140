"""Saved views: kept, shared, opening by themselves; the address stays the truth."""

import pytest
from django.test import Client

from governance.models import AuditEntry
from projects.models import SavedView

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "dialog"}


@pytest.fixture
def web():
    """A browser of a user."""

    def client(user):
        browser = Client()
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


def keep(browser, name="Broken", query="status=failed", table="runs:list", **more):
    body = {"name": name, "table": table, "query": query, **more}
    return browser.post("/views/new/", body, **HTMX)


def test_what_a_list_shows_is_kept_by_a_name(web, ana):
    browser = web(ana)
    html = browser.get("/runs/?status=failed&page_size=50&page=1").content.decode()
    assert "/views/new/?table=runs%3Alist&amp;query=page_size%3D50%26status%3Dfailed" in html
    answer = keep(browser, query="status=timed_out&page=3&status=failed&search=")
    assert answer.status_code == 204
    view = SavedView.objects.get()
    assert view.query == "status=failed&status=timed_out"
    assert answer.headers["HX-Redirect"] == f"/runs/?{view.query}"
    html = browser.get("/runs/?status=timed_out&status=failed").content.decode()
    assert 'aria-current="true"><span class="cut">Broken</span>' in html
    assert AuditEntry.objects.filter(action="savedview.created").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": ""}, "This field is required."),
        ({"table": "nowhere"}, "There is no list of that name."),
        ({"table": "dashboard"}, "There is no list of that name."),
        ({"query": "a" * 2001}, "at most 2000 characters"),
    ],
)
def test_a_bad_view_is_refused_in_words(web, ana, wrong, words):
    answer = keep(web(ana), **wrong)
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_a_name_is_used_once_by_each_person(web, ana, vic):
    browser = web(ana)
    keep(browser)
    assert "You have a view of that name." in keep(browser).content.decode()
    assert keep(web(vic)).status_code == 204


def test_shared_views_are_seen_by_members_and_changed_by_their_owner(web, ana, vic, bo):
    keep(web(ana), shared="on")
    keep(web(ana), name="Private")
    view = SavedView.objects.get(shared=True)
    html = web(vic).get("/runs/").content.decode()
    assert "Broken" in html
    assert "Private" not in html
    assert f"/views/{view.pk}/edit/" not in html
    assert "Broken" not in web(bo).get("/runs/").content.decode()
    assert web(vic).get(f"/views/{view.pk}/edit/").status_code == 403
    assert web(bo).get(f"/views/{view.pk}/edit/").status_code == 404


def test_a_view_is_renamed_and_takes_the_filters_shown_now(web, ana):
    browser = web(ana)
    keep(browser)
    view = SavedView.objects.get()
    url = f"/views/{view.pk}/edit/?now=status%3Drunning"
    assert 'value="status=running"' in browser.get(url, **HTMX).content.decode()
    browser.post(url, {"name": "Other", "now": "status=running"}, **HTMX)
    view.refresh_from_db()
    assert (view.name, view.query) == ("Other", "status=failed")
    browser.post(url, {"name": "Other", "now": "status=running", "replace": "on"}, **HTMX)
    view.refresh_from_db()
    assert view.query == "status=running"


def test_a_list_opens_with_the_default_and_the_whole_list_stays_reachable(web, ana, make_run):
    make_run(status="failed")
    browser = web(ana)
    keep(browser, is_default="on")
    keep(browser, name="Later", query="status=queued", is_default="on")
    assert list(SavedView.objects.filter(is_default=True).values_list("name", flat=True)) == [
        "Later"
    ]
    assert browser.get("/runs/").headers["Location"] == "/runs/?status=queued"
    html = browser.get("/runs/?status=failed").content.decode()
    assert '<input type="hidden" name="view" value="all">' in html
    assert 'href="?view=all"' in html
    whole = browser.get("/runs/?view=all")
    assert whole.status_code == 200
    part = browser.get("/runs/", HTTP_HX_REQUEST="true")
    assert part.status_code == 200


def test_an_admins_shared_default_counts_for_all_others_for_themselves(web, ada, ana, vic):
    keep(web(ana), name="Operators", query="status=queued", shared="on", is_default="on")
    assert web(vic).get("/runs/").status_code == 200
    keep(web(ada), name="Team", query="status=running", shared="on", is_default="on")
    assert web(vic).get("/runs/").headers["Location"] == "/runs/?status=running"
    assert web(ana).get("/runs/").headers["Location"] == "/runs/?status=queued"


def test_a_view_is_deleted_by_its_name(web, ana):
    browser = web(ana)
    keep(browser)
    view = SavedView.objects.get()
    answer = browser.post(f"/views/{view.pk}/delete/", {"confirm_name": "Broken"}, **HTMX)
    assert answer.headers["HX-Redirect"] == "/runs/"
    assert not SavedView.objects.exists()


def test_the_api_keeps_views_too(api, ana, vic, project):
    body = {"project": project.pk, "table": "tools:list", "name": "Mine", "query": "?b=2&a=1"}
    made = api(ana).post("/saved-views", body)
    assert made.status_code == 201
    assert made.json()["query"] == "a=1&b=2"
    assert made.json()["url"] == "/tools/?a=1&b=2"
    assert api(vic).get("/saved-views").json()["count"] == 0
    url = f"/saved-views/{made.json()['id']}"
    api(ana).patch(url, {"shared": True})
    assert api(vic).get("/saved-views", {"table": "tools:list"}).json()["count"] == 1
    assert api(vic).patch(url, {"name": "x"}).status_code == 403
    assert api(ana).patch(url, {"table": "runs:list"}).status_code == 422

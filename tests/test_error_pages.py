"""What a person sees when something goes wrong: a sentence, a way on, the request's id."""

import json

import pytest
from django.test import Client

from analytics import figures

HTMX = {"HTTP_HX_REQUEST": "true"}
ID = "req-of-this-test"


@pytest.fixture
def web():
    """A browser of a user, which shows 500 as a person sees it."""

    def client(user):
        browser = Client(raise_request_exception=False, headers={"X-Request-ID": ID})
        browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return browser

    return client


@pytest.fixture
def broken(monkeypatch):
    """The dashboard fails."""

    def fail(*args):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(figures, "runs_of", fail)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tools/?created_after=yesterday", 422, "This request makes no sense to us"),
        ("/settings/members/new/", 403, "Your role does not allow this"),
        ("/nothing/here/", 404, "There is nothing here"),
        ("/", 500, "Something broke on our side"),
    ],
)
def test_an_error_is_a_page_with_a_way_on_and_the_id_of_the_request(
    web, vic, broken, path, status, words
):
    answer = web(vic).get(path)
    html = answer.content.decode()
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] == ID
    for text in (words, ID, 'href="/"'):
        assert text in html
    assert "secret detail" not in html


def test_to_htmx_an_error_is_no_page_and_changes_nothing(web, ana, vic, broken, make_tool):
    bad = web(vic).get("/tools/?created_after=yesterday", **HTMX)
    assert bad.status_code == 422
    assert bad.headers["HX-Reswap"] == "none"
    assert json.loads(bad.headers["HX-Trigger"])["toast"]["level"] == "error"
    assert bad.content == b""
    for path, status in (("/settings/members/new/", 403), ("/nothing/", 404), ("/", 500)):
        answer = web(vic).get(path, **HTMX)
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, ID)


def test_a_strangers_error_tells_as_little(db):
    answer = Client().get("/nothing/here/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()

"""The pages of accounts: register, sign in and out, reset and change a password."""

import re

import pytest
from django.core import mail

from governance.models import AuditEntry
from projects import tokens
from projects.models import Membership
from projects.people import User
from tests.support.cast import PASSWORD, Api, make_user

NEXT = "another horse 8 staple"
LOGIN = "/accounts/login/"


@pytest.fixture
def ann(db) -> User:
    return make_user("Ann", password=PASSWORD)


def sign_in(client, email="ann@example.com", password=PASSWORD, **more):
    return client.post(LOGIN, {"login": email, "password": password, **more})


def test_registering_by_page_signs_in_with_a_personal_project(client, db):
    form = {"name": "Newa", "email": "New@example.com", "password1": PASSWORD}
    answer = client.post("/accounts/register/", form)
    assert (answer.status_code, answer.url) == (302, "/")
    membership = Membership.objects.select_related("project", "user").get()
    assert (membership.project.name, membership.user.email) == ("Newa", "new@example.com")
    assert client.session["_auth_user_id"] == str(membership.user_id)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"email": "ann@example.com"}, "There is an account"),
        ({"password1": "short"}, "too short"),
        ({"name": ""}, "required"),
    ],
)
def test_a_bad_registration_stays_on_the_page(client, ann, change, words):
    form = {"name": "Newa", "email": "new@example.com", "password1": PASSWORD, **change}
    answer = client.post("/accounts/register/", form)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert User.objects.count() == 1


def test_a_closed_registration_shows_no_form(client, db, settings):
    settings.REGISTRATION = "invite"
    assert b"closed" in client.get("/accounts/register/").content
    form = {"name": "Newa", "email": "new@example.com", "password1": PASSWORD}
    client.post("/accounts/register/", form)
    assert not User.objects.exists()


def test_the_old_path_leads_to_registering(client, db):
    answer = client.get("/accounts/signup/?next=/runs/")
    assert (answer.status_code, answer.url) == (302, "/accounts/register/?next=/runs/")


def test_signing_in_leads_back_and_is_audited(client, ann):
    assert sign_in(client, next="/runs/").url == "/runs/"
    assert AuditEntry.objects.filter(action="user.signed_in", actor_id=ann.pk).count() == 1
    ann.refresh_from_db()
    assert ann.last_login is not None


def test_signing_in_never_leads_elsewhere(client, ann):
    assert sign_in(client, next="https://evil.com/").url == "/"


@pytest.mark.parametrize(
    ("email", "password"),
    [("ann@example.com", "no"), ("nobody@example.com", PASSWORD), ("ina@example.com", PASSWORD)],
)
def test_a_failed_sign_in_says_the_same_whatever_was_wrong(client, ann, email, password):
    make_user("Ina", password=PASSWORD, is_active=False)
    answer = sign_in(client, email, password)
    assert answer.status_code == 200
    assert "The email address and/or password you specified are not correct." in (
        answer.content.decode()
    )
    assert "_auth_user_id" not in client.session


def test_page_and_api_count_failures_together(client, ann):
    for _ in range(10):
        sign_in(client, password="no")  # noqa: S106
    body = {"email": "ann@example.com", "password": PASSWORD}
    assert Api(None).post("/auth/login", body).status_code == 429
    assert "Too many failed" in sign_in(client).content.decode()


def test_signing_out_needs_a_post(client, ann):
    client.force_login(ann)
    assert client.get("/accounts/logout/").status_code == 200
    assert "_auth_user_id" in client.session
    assert client.post("/accounts/logout/").url == LOGIN
    assert "_auth_user_id" not in client.session


def test_a_reset_by_page_ends_tokens_and_sessions(client, ann):
    pair = tokens.issue(ann)
    assert client.post("/accounts/password/reset/", {"email": ann.email}).status_code == 302
    path = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[0].body)[0]
    form_path = client.get(path).url
    answer = client.post(form_path, {"password1": NEXT, "password2": NEXT})
    assert answer.status_code == 302
    assert User.objects.get().check_password(NEXT)
    assert Api(None).post("/auth/refresh", {"refresh": pair.refresh}).status_code == 401
    assert AuditEntry.objects.filter(action="user.password_changed").exists()


def test_changing_ones_password_keeps_this_session_only(client, ann):
    client.force_login(ann)
    pair = tokens.issue(ann)
    form = {"oldpassword": PASSWORD, "password1": NEXT, "password2": NEXT}
    assert client.post("/accounts/password/change/", form).status_code == 302
    assert client.get("/accounts/password/change/").status_code == 200
    assert Api(None).post("/auth/refresh", {"refresh": pair.refresh}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        LOGIN,
        "/accounts/register/",
        "/accounts/logout/",
        "/accounts/password/reset/",
        "/accounts/password/reset/done/",
        "/accounts/password/reset/key/done/",
        "/accounts/password/reset/key/1-bad/",
    ],
)
def test_pages_for_strangers_answer(client, db, path):
    assert client.get(path, follow=True).status_code == 200


def test_no_mail_server_is_said_and_not_a_fault(client, ann, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = Api(None).post("/auth/password-reset", {"email": ann.email})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

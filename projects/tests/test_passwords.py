"""Changing and resetting passwords by API."""

import re

import pytest
from django.core import mail

from governance.models import AuditEntry
from projects.people import User
from tests.support.cast import PASSWORD, Api, make_user

NEXT = "another horse 8 staple"


@pytest.fixture
def pair(db) -> dict[str, str]:
    body = {"email": "new@example.com", "password": PASSWORD, "name": "Newa"}
    return Api(None).post("/auth/register", body).json()


def bearer(text: str) -> Api:
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


def test_a_changed_password_ends_old_tokens_and_answers_new_ones(pair):
    body = {"current_password": PASSWORD, "new_password": NEXT}
    answer = bearer(pair["access"]).post("/auth/password", body)
    assert answer.status_code == 200
    assert bearer(pair["access"]).get("/auth/me").status_code == 401
    assert bearer(answer.json()["access"]).get("/auth/me").status_code == 200
    sign_in = {"email": "new@example.com", "password": NEXT}
    assert Api(None).post("/auth/login", sign_in).status_code == 200
    assert AuditEntry.objects.filter(action="user.password_changed").exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"current_password": "wrong", "new_password": NEXT}, "current_password"),
        ({"current_password": PASSWORD, "new_password": "short"}, "new_password"),
    ],
)
def test_a_refused_change_leaves_everything(pair, body, field):
    answer = bearer(pair["access"]).post("/auth/password", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert bearer(pair["access"]).get("/auth/me").status_code == 200


def test_a_reset_is_mailed_and_sets_a_new_password_once(pair):
    answer = Api(None).post("/auth/password-reset", {"email": "NEW@example.com"})
    assert (answer.status_code, answer.content) == (202, b"")
    key = re.search(r"/password/reset/key/([^/\s]+)/", mail.outbox[0].body)[1]
    body = {"key": key, "password": NEXT}
    assert Api(None).post("/auth/password-reset/confirm", body).status_code == 204
    assert bearer(pair["access"]).get("/auth/me").status_code == 401
    assert User.objects.get().check_password(NEXT)
    again = Api(None).post("/auth/password-reset/confirm", body)
    assert again.json()["errors"][0]["code"] == "invalid_key"


def test_an_unknown_address_gets_the_same_answer(pair):
    answer = Api(None).post("/auth/password-reset", {"email": "nobody@example.com"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert "/password/reset/key/" not in mail.outbox[0].body


def test_a_weak_new_password_is_refused(pair):
    Api(None).post("/auth/password-reset", {"email": "new@example.com"})
    key = re.search(r"/password/reset/key/([^/\s]+)/", mail.outbox[0].body)[1]
    answer = Api(None).post("/auth/password-reset/confirm", {"key": key, "password": "12345678"})
    assert answer.json()["errors"][0]["field"] == "password"


@pytest.mark.parametrize("key", ["", "x", "1-2", "-", "zzz-zzz-zzz"])
def test_a_made_up_key_is_refused(db, key):
    body = {"key": key, "password": NEXT}
    assert Api(None).post("/auth/password-reset/confirm", body).status_code == 422


def test_a_service_account_cannot_be_reset(db):
    make_user("Bot", email="bot@service.invalid", is_service=True)
    Api(None).post("/auth/password-reset", {"email": "bot@service.invalid"})
    assert all("/password/reset/key/" not in m.body for m in mail.outbox)

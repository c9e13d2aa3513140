"""Registering, signing in, refreshing, signing out."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from controlplane.kit.access import PrincipalThrottle
from governance.models import AuditEntry
from projects.models import Membership, Project
from projects.people import User
from tests.support.cast import PASSWORD, Api, make_user

NEW = {"email": "New@Example.com", "password": PASSWORD, "name": "Newa Person"}


def bearer(text: str) -> Api:
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@pytest.fixture
def pair(db) -> dict[str, str]:
    return Api(None).post("/auth/register", NEW).json()


def test_registering_answers_the_user_and_tokens_at_once(db):
    answer = Api(None).post("/auth/register", NEW)
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"user", "access", "refresh"}
    assert body["user"]["email"] == "new@example.com"
    assert body["user"]["name"] == "Newa Person"
    assert bearer(body["access"]).get("/auth/me").json() == body["user"]


def test_registering_makes_a_personal_project_with_three_environments(pair):
    membership = Membership.objects.select_related("project").get(user__email="new@example.com")
    assert (membership.project.name, membership.role) == ("Newa Person", "owner")
    found = membership.project.environments.values_list("name", "rank", "protected")
    assert list(found) == [("dev", 0, False), ("staging", 1, False), ("prod", 2, True)]
    assert pair["user"]["memberships"][0]["project"] == str(membership.project_id)
    assert pair["user"]["memberships"][0]["role"] == "owner"


def test_registering_is_audited_with_user_and_project(pair):
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"user.registered", "project.created"} <= actions


def test_two_people_of_one_name_get_two_projects(db):
    for email in ("a@example.com", "b@example.com"):
        answer = Api(None).post("/auth/register", {**NEW, "email": email})
        assert answer.status_code == 201
    assert Project.objects.filter(name="Newa Person").count() == 2


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"email": "no address"}, "email", "invalid"),
        ({"email": None}, "email", "null"),
        ({"password": "short"}, "password", "password_too_short"),
        ({"password": "password"}, "password", "password_too_common"),
        ({"name": ""}, "name", "blank"),
        ({"name": "a\tb"}, "name", "invalid"),
        ({"surprise": 1}, "surprise", "unknown_field"),
    ],
)
def test_a_bad_registration_names_the_field_and_saves_nothing(db, change, field, code):
    answer = Api(None).post("/auth/register", {**NEW, **change})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (field, code) in [(e["field"], e["code"]) for e in answer.json()["errors"]]
    assert not User.objects.exists()
    assert not Project.objects.exists()


def test_a_missing_field_is_named(db):
    errors = Api(None).post("/auth/register", {"email": "a@example.com"}).json()["errors"]
    assert {e["field"] for e in errors} == {"password", "name"}


def test_an_address_registers_once(pair):
    answer = Api(None).post("/auth/register", {**NEW, "email": "NEW@example.com"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email"
    assert answer.json()["errors"][0]["code"] == "unique"


def test_closed_registration_says_so(db, settings):
    settings.REGISTRATION = "invite"
    answer = Api(None).post("/auth/register", NEW)
    assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")


def test_signing_in_answers_the_same_shape(pair):
    answer = Api(None).post("/auth/login", {"email": "NEW@example.com", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["user"] == pair["user"]


def test_unknown_address_wrong_password_and_inactive_user_answer_alike(db):
    make_user("Ina", password=PASSWORD, is_active=False)
    make_user("Ann", password=PASSWORD)
    tries = [
        ("nobody@example.com", PASSWORD),
        ("ann@example.com", "no"),
        ("ina@example.com", PASSWORD),
    ]
    answers = [
        Api(None).post("/auth/login", {"email": email, "password": password})
        for email, password in tries
    ]
    assert {a.status_code for a in answers} == {401}
    assert {a.headers["WWW-Authenticate"] for a in answers} == {"Bearer"}
    bodies = [{**a.json(), "request_id": ""} for a in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "invalid_credentials"


def test_an_unknown_address_costs_one_password_hash_too(db, monkeypatch):
    hashed = []
    monkeypatch.setattr(User, "set_password", lambda self, raw: hashed.append(raw))
    Api(None).post("/auth/login", {"email": "nobody@example.com", "password": "guess"})
    assert hashed == ["guess"]


def test_sixty_sign_ins_a_minute_from_one_address(db):
    with time_machine.travel(timezone.now().replace(second=1), tick=False):
        body = {"email": "x", "password": "y"}
        codes = [
            Api(None).post("/auth/login", {**body, "email": f"{n}@example.com"}).status_code
            for n in range(60)
        ]
        answer = Api(None).post("/auth/login", body)
    assert set(codes) == {401}
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_failures_with_one_address_end_in_a_pause_even_for_the_right_password(db):
    make_user("Ann", password=PASSWORD)
    for _ in range(10):
        Api(None).post("/auth/login", {"email": "ann@example.com", "password": "no"})
    answer = Api(None).post("/auth/login", {"email": "ANN@example.com", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failures")
    assert "Retry-After" in answer.headers


def test_a_refresh_token_works_once_and_hands_out_the_next(pair):
    answer = Api(None).post("/auth/refresh", {"refresh": pair["refresh"]})
    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}
    assert bearer(answer.json()["access"]).get("/auth/me").status_code == 200
    assert Api(None).post("/auth/refresh", {"refresh": answer.json()["refresh"]}).status_code == 200


def test_a_used_refresh_token_revokes_its_whole_family(pair):
    second = Api(None).post("/auth/refresh", {"refresh": pair["refresh"]}).json()
    again = Api(None).post("/auth/refresh", {"refresh": pair["refresh"]})
    assert (again.status_code, again.json()["code"]) == (401, "token_reused")
    assert Api(None).post("/auth/refresh", {"refresh": second["refresh"]}).status_code == 401
    assert bearer(second["access"]).get("/auth/me").status_code == 401
    assert bearer(pair["access"]).get("/auth/me").json()["code"] == "token_revoked"


def test_families_are_apart(pair):
    other = Api(None).post("/auth/login", {"email": NEW["email"], "password": PASSWORD}).json()
    Api(None).post("/auth/logout", {"refresh": pair["refresh"]})
    assert bearer(pair["access"]).get("/auth/me").status_code == 401
    assert bearer(other["access"]).get("/auth/me").status_code == 200


def test_signing_out_revokes_and_an_unknown_token_is_no_fault(pair):
    answer = Api(None).post("/auth/logout", {"refresh": pair["refresh"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert Api(None).post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert Api(None).post("/auth/logout", {"refresh": "unknown"}).status_code == 204


def test_an_access_token_ends_after_fifteen_minutes(pair):
    later = timezone.now() + timedelta(minutes=15, seconds=1)
    with time_machine.travel(later):
        answer = bearer(pair["access"]).get("/auth/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


def test_a_refresh_token_ends_after_fourteen_days(pair):
    with time_machine.travel(timezone.now() + timedelta(days=14, seconds=1)):
        answer = Api(None).post("/auth/refresh", {"refresh": pair["refresh"]})
    assert answer.status_code == 401


def test_another_password_ends_every_token_at_once(pair):
    user = User.objects.get()
    user.set_password("something else 7")
    user.save()
    assert bearer(pair["access"]).get("/auth/me").status_code == 401
    assert Api(None).post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_deactivation_ends_every_token_at_once(pair):
    User.objects.update(is_active=False)
    assert bearer(pair["access"]).get("/auth/me").status_code == 401
    assert Api(None).post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "spk_unknown.key", "eyJhbGciOiJub25lIn0.e30."])
def test_a_bad_bearer_is_401_as_a_problem(db, text):
    answer = bearer(text).get("/auth/me")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_a_bad_bearer_is_not_rescued_by_a_session(client, pair):
    client.force_login(User.objects.get())
    assert client.get("/api/v1/auth/me").status_code == 200
    answer = client.get("/api/v1/auth/me", headers={"Authorization": "Bearer no"})
    assert answer.status_code == 401


def test_a_token_signed_by_another_key_is_refused(pair, settings):
    settings.SECRET_KEY = "x" * 40
    assert bearer(pair["access"]).get("/auth/me").status_code == 401


def test_a_stranger_is_told_to_sign_in(db):
    answer = Api(None).get("/auth/me")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_one_changes_ones_name(pair):
    answer = bearer(pair["access"]).patch("/auth/me", {"name": "Renamed"})
    assert answer.json()["name"] == "Renamed"
    entry = AuditEntry.objects.get(action="user.changed")
    assert (entry.before, entry.after) == ({"name": "Newa Person"}, {"name": "Renamed"})
    assert bearer(pair["access"]).patch("/auth/me", {"email": "x@example.com"}).status_code == 422


def test_a_principal_has_a_limit_a_second(pair, monkeypatch):
    monkeypatch.setattr(PrincipalThrottle, "rate", "3/s", raising=False)
    with time_machine.travel(timezone.now(), tick=False):
        answers = [bearer(pair["access"]).get("/auth/me") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json()["code"] == "throttled"

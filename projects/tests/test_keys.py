"""API keys: made once, scoped, expiring, revocable, noted when used."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from governance.models import AuditEntry
from projects import keys
from projects.models import ApiKey, Membership
from projects.people import User
from tests.support.cast import Api


def speak(text: str) -> Api:
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@pytest.fixture
def made(api, ada, project):
    def make(**fields):
        answer = api(ada).post("/api-keys", {"project": str(project.pk), "name": "CI", **fields})
        assert answer.status_code == 201, answer.content
        return answer.json()

    return make


def test_a_key_is_shown_once_and_only_its_hash_is_stored(made, api, ada):
    body = made()
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", body["key"])
    assert body["key"].startswith(body["prefix"] + ".")
    shown = api(ada).get(f"/api-keys/{body['id']}").json()
    assert "key" not in shown
    assert body["key"].partition(".")[2] not in str(ApiKey.objects.values().get())


def test_a_key_speaks_for_its_maker_in_its_project_only(made, ada, project, api):
    api(ada).post("/projects", {"name": "Another"})
    client = speak(made()["key"])
    assert [m["project"] for m in client.get("/auth/me").json()["memberships"]] == [str(project.pk)]
    assert [p["id"] for p in client.get("/projects").json()["results"]] == [str(project.pk)]


def test_scopes_narrow_lists_rows_and_changes(made, project):
    client = speak(made(scopes=["projects:read"])["key"])
    assert client.get("/secrets").status_code == 200
    assert client.get(f"/projects/{project.pk}").status_code == 200
    assert client.get("/audit").status_code == 403
    body = {"project": str(project.pk), "name": "s", "value": "vvvv", "allowed_hosts": []}
    assert client.post("/secrets", body).status_code == 403
    assert client.patch(f"/projects/{project.pk}", {"name": "X"}).status_code == 403


def test_an_unknown_scope_is_refused(api, ada, project):
    body = {"project": str(project.pk), "name": "k", "scopes": ["everything"]}
    assert api(ada).post("/api-keys", body).status_code == 422


def test_a_key_with_scopes_makes_no_keys(made, project):
    client = speak(made(scopes=["projects:write"])["key"])
    body = {"project": str(project.pk), "name": "wider"}
    assert client.post("/api-keys", body).status_code == 403


def test_an_expired_key_is_401(made):
    text = made(expires_at=(timezone.now() + timedelta(hours=1)).isoformat())["key"]
    assert speak(text).get("/projects").status_code == 200
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert speak(text).get("/projects").status_code == 401


def test_a_key_cannot_be_made_expired(api, ada, project):
    body = {"project": str(project.pk), "name": "k", "expires_at": "2020-01-01T00:00:00Z"}
    assert api(ada).post("/api-keys", body).status_code == 422


def test_a_revoked_key_is_401_at_once_and_stays_listed(made, api, ada):
    body = made()
    answer = api(ada).post(f"/api-keys/{body['id']}/revoke")
    assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    assert speak(body["key"]).get("/projects").status_code == 401
    assert api(ada).post(f"/api-keys/{body['id']}/revoke").status_code == 409
    assert api(ada).get("/api-keys").json()["count"] == 1


def test_a_deleted_key_is_401(made, api, ada):
    body = made()
    assert api(ada).delete(f"/api-keys/{body['id']}").status_code == 204
    assert speak(body["key"]).get("/projects").status_code == 401


def test_a_wrong_secret_part_is_401(made):
    body = made()
    assert speak(body["prefix"] + ".guess").get("/projects").status_code == 401


def test_use_is_noted_at_most_once_a_minute(made):
    client = speak(made()["key"])
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        client.get("/projects")
        first = ApiKey.objects.get().last_used_at
    with time_machine.travel(now + timedelta(seconds=59), tick=False):
        client.get("/projects")
    assert ApiKey.objects.get().last_used_at == first
    with time_machine.travel(now + timedelta(seconds=61), tick=False):
        client.get("/projects")
    assert ApiKey.objects.get().last_used_at > first


def test_a_key_ends_with_its_makers_membership(made, api, own, ada, project):
    text = made()["key"]
    member = Membership.objects.get(project=project, user=ada)
    assert api(own).delete(f"/projects/{project.pk}/members/{member.pk}").status_code == 204
    assert speak(text).get("/projects").status_code == 401


def test_a_key_is_no_more_than_its_makers_role(made, ada, project):
    text = made()["key"]
    Membership.objects.filter(user=ada).update(role="viewer")
    assert speak(text).patch(f"/projects/{project.pk}", {"name": "X"}).status_code == 403


def test_a_service_account_has_keys_of_its_own(api, ada, project, made):
    body = {"name": "CI robot", "role": "operator", "is_service": True}
    member = api(ada).post(f"/projects/{project.pk}/members", body).json()
    text = made(service_account=member["user"]["id"])["key"]
    me = speak(text).get("/auth/me").json()
    assert (me["name"], me["is_service"]) == ("CI robot", True)
    assert (
        speak(text).post("/api-keys", {"project": str(project.pk), "name": "x"}).status_code == 403
    )


def test_no_keys_for_other_people(api, ada, ana, project):
    body = {"project": str(project.pk), "name": "k", "service_account": str(ana.pk)}
    answer = api(ada).post("/api-keys", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "does_not_exist"


def test_removing_a_service_account_removes_it_altogether(api, ada, project):
    body = {"name": "CI robot", "role": "operator", "is_service": True}
    member = api(ada).post(f"/projects/{project.pk}/members", body).json()
    assert api(ada).delete(f"/projects/{project.pk}/members/{member['id']}").status_code == 204
    assert not User.objects.filter(is_service=True).exists()


def test_an_api_key_changes_no_account(made):
    client = speak(made()["key"])
    assert client.patch("/auth/me", {"name": "X"}).status_code == 403
    passwords = {"current_password": "a", "new_password": "b"}
    assert client.post("/auth/password", passwords).status_code == 403


def test_making_and_revoking_are_audited_without_the_key(made, api, ada):
    body = made(scopes=["runs:read"])
    api(ada).post(f"/api-keys/{body['id']}/revoke")
    entries = AuditEntry.objects.filter(target_type="apikey").order_by("id")
    assert [e.action for e in entries] == ["apikey.created", "apikey.revoked"]
    assert entries[0].after["scopes"] == ["runs:read"]
    assert body["key"].partition(".")[2] not in str(list(entries.values()))


def test_prefixes_are_told_from_other_tokens():
    new = keys.make()
    assert keys.prefix_of(new.text) == new.prefix
    assert keys.prefix_of("eyJ.a.b") is None
    assert keys.prefix_of("spk_abc") is None
    assert keys.matches(new.text, new.sha256)

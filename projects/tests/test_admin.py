"""The administration: for staff only, without secrets, with audit rows."""

import pytest
from django.contrib import admin
from django.urls import reverse

from governance.models import AuditEntry
from projects import keys
from projects.models import Secret
from projects.people import User
from tests.support.cast import PASSWORD, make_user


@pytest.fixture
def staff(db) -> User:
    return make_user("Sta", is_staff=True, is_superuser=True, password=PASSWORD)


@pytest.fixture
def site(client, staff):
    client.force_login(staff)
    return lambda path, **query: client.get(path, query)


def lists() -> list[str]:
    names = sorted(model._meta.label_lower for model in admin.site._registry)
    return [f"admin:{name.replace('.', '_')}_changelist" for name in names]


@pytest.mark.parametrize("name", lists())
def test_every_list_opens_and_searches(site, name):
    assert site(reverse(name)).status_code == 200
    assert site(reverse(name), q="00000000-0000-0000-0000-000000000000").status_code in {200, 302}


@pytest.mark.parametrize("name", ["own", "nobody"])
def test_the_administration_is_for_staff(client, own, name):
    if name == "own":
        client.force_login(own)
    answer = client.get("/admin/projects/user/")
    assert answer.status_code in {302, 403}


def test_signing_in_to_the_administration_is_the_sites_own(client, db):
    answer = client.get("/admin/login/?next=/admin/")
    assert answer.status_code == 302
    assert answer.url.startswith("/accounts/login/")


def test_no_secret_and_no_hash_is_shown(site, make_secret, own, project):
    secret = make_secret(value="sk-canary-1234567890")
    key, text = keys.create(actor=own, project=project, name="k", scopes=[])
    shown = site(f"/admin/projects/secret/{secret.pk}/change/").content.decode()
    shown += site("/admin/projects/secret/").content.decode()
    shown += site(f"/admin/projects/apikey/{key.pk}/change/").content.decode()
    assert "openai" in shown
    assert key.prefix in shown
    for hidden in ("canary", key.key_sha256, text, bytes(Secret.objects.get().ciphertext).decode()):
        assert hidden not in shown


def test_a_change_by_staff_is_audited(client, staff, project):
    client.force_login(staff)
    form = {
        "name": "Renamed",
        "slug": project.slug,
        "content_capture": "full",
        "retention_days": 30,
        "description": "",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }
    path = f"/admin/projects/project/{project.pk}/change/"
    assert client.post(path, form).status_code == 302
    entry = AuditEntry.objects.get(action="project.changed")
    assert (entry.project_id, entry.actor_name) == (project.pk, "Sta")
    assert "name" in entry.after["fields"]


def test_a_new_person_is_made_by_e_mail(client, staff):
    client.force_login(staff)
    form = {
        "email": "new@example.com",
        "name": "New",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert client.post("/admin/projects/user/add/", form).status_code == 302
    assert User.objects.get(email="new@example.com").check_password(PASSWORD)


def test_the_audit_log_cannot_be_changed_here(client, staff, project):
    client.force_login(staff)
    entry = AuditEntry.objects.filter(project=project).first()
    assert client.post(f"/admin/governance/auditentry/{entry.pk}/delete/").status_code == 403
    assert client.post("/admin/governance/auditentry/add/").status_code == 403


def test_staff_revoke_keys(client, staff, own, project):
    key, _ = keys.create(actor=own, project=project, name="k", scopes=[])
    client.force_login(staff)
    form = {"action": "revoke", "_selected_action": str(key.pk)}
    client.post("/admin/projects/apikey/", form)
    key.refresh_from_db()
    assert key.status == "revoked"


def test_superusers_are_members_of_nothing(client, staff, project):
    client.force_login(staff)
    assert client.get(f"/api/v1/projects/{project.pk}").status_code == 404
    assert client.get("/api/v1/projects").json()["results"] == []

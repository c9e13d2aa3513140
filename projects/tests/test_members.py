"""Members: who may add, change and remove whom; invitations; the last owner."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from governance.models import AuditEntry
from projects import services
from projects.models import Invitation, Membership
from tests.support.cast import PASSWORD, Api, make_user


@pytest.fixture
def members(project):
    return f"/projects/{project.pk}/members"


def test_members_are_listed_with_their_people(api, vic, members):
    rows = api(vic).get(members).json()["results"]
    assert {(r["user"]["email"], r["role"]) for r in rows} == {
        ("own@example.com", "owner"),
        ("vic@example.com", "viewer"),
    }


def test_somebody_with_an_account_is_a_member_at_once(api, ada, members, bo, project):
    answer = api(ada).post(members, {"email": "BO@example.com", "role": "operator"})
    assert answer.status_code == 201
    assert answer.json()["user"]["email"] == "bo@example.com"
    assert api(bo).get(f"/projects/{project.pk}").json()["role"] == "operator"


def test_nobody_is_a_member_twice(api, ada, members, vic):
    answer = api(ada).post(members, {"email": vic.email, "role": "admin"})
    assert answer.status_code == 422
    assert Membership.objects.get(user=vic).role == "viewer"


def test_a_role_is_changed_and_audited(api, ada, vic, members, project):
    answer = api(ada).patch(f"{members}/{vic.pk}", {"role": "operator"})
    assert (answer.status_code, answer.json()["role"]) == (200, "operator")
    entry = AuditEntry.objects.get(action="membership.changed")
    assert (entry.before, entry.after) == ({"role": "viewer"}, {"role": "operator"})
    assert entry.actor_name == "Ada"


def test_an_admin_neither_makes_nor_touches_owners(api, ada, own, vic, members):
    client = api(ada)
    assert client.patch(f"{members}/{vic.pk}", {"role": "owner"}).status_code == 403
    assert client.patch(f"{members}/{own.pk}", {"role": "viewer"}).status_code == 403
    assert client.delete(f"{members}/{own.pk}").status_code == 403
    assert client.post(members, {"email": "x@example.com", "role": "owner"}).status_code == 403
    assert Membership.objects.get(user=own).role == "owner"


def test_the_last_owner_stays(api, own, project, members):
    client = api(own)
    answers = [
        client.patch(f"{members}/{own.pk}", {"role": "admin"}),
        client.delete(f"{members}/{own.pk}"),
        client.post(f"/projects/{project.pk}/leave"),
    ]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(409, "last_owner")}


def test_an_owner_may_leave_another_behind(api, own, ada, project, members):
    assert api(own).patch(f"{members}/{ada.pk}", {"role": "owner"}).status_code == 200
    assert api(own).post(f"/projects/{project.pk}/leave").status_code == 204
    assert api(own).get(f"/projects/{project.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_do_not_both_leave(own, ada, project):
    Membership.objects.filter(user=ada).update(role="owner")

    def leave(user):
        try:
            services.remove_member(Membership.objects.get(user=user, project=project), actor=user)
        except services.DomainError as exc:
            return exc.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(leave, [own, ada]))
    assert sorted(found, key=str) == [None, "last_owner"]
    assert Membership.objects.filter(project=project, role="owner").count() == 1


def test_anybody_may_leave(api, vic, project):
    assert api(vic).post(f"/projects/{project.pk}/leave").status_code == 204
    assert api(vic).get(f"/projects/{project.pk}").status_code == 404
    assert AuditEntry.objects.filter(action="membership.left").exists()


def test_a_service_account_cannot_own(api, own, members):
    body = {"name": "bot", "role": "owner", "is_service": True}
    assert api(own).post(members, body).status_code == 422
    made = api(own).post(members, {**body, "role": "admin"}).json()
    assert api(own).patch(f"{members}/{made['id']}", {"role": "owner"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "email"),
        ({"is_service": True, "role": "viewer"}, "name"),
        ({"email": "x@example.com"}, "role"),
        ({"email": "x@example.com", "role": "king"}, "role"),
        ({"email": "nobody", "role": "viewer"}, "email"),
    ],
)
def test_a_bad_body_names_its_field(api, ada, members, body, field):
    answer = api(ada).post(members, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


# --- invitations --------------------------------------------------------------------------------


@pytest.fixture
def invited(api, ada, members):
    answer = api(ada).post(members, {"email": "Cy@example.com", "role": "operator"})
    assert (answer.status_code, answer.json()["status"]) == (201, "invited")
    return answer.json()


def test_an_invitation_is_listed_without_its_token(invited, api, vic, project):
    rows = api(vic).get(f"/projects/{project.pk}/invitations").json()["results"]
    assert [r["email"] for r in rows] == ["cy@example.com"]
    assert "token" not in rows[0]
    assert invited["token"] not in str(Invitation.objects.values().get())


def test_who_was_invited_accepts_once(invited, api, project):
    cy = make_user("Cy")
    answer = api(cy).post("/invitations/accept", {"token": invited["token"]})
    assert (answer.status_code, answer.json()["role"]) == (200, "operator")
    assert api(cy).get(f"/projects/{project.pk}").status_code == 200
    again = api(cy).post("/invitations/accept", {"token": invited["token"]})
    assert again.status_code == 404


def test_an_invitation_is_for_its_address_only(invited, api, bo):
    assert api(bo).post("/invitations/accept", {"token": invited["token"]}).status_code == 403


def test_an_old_invitation_is_gone(invited, api):
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    cy = make_user("Cy")
    assert api(cy).post("/invitations/accept", {"token": invited["token"]}).status_code == 404


def test_a_withdrawn_invitation_is_gone(invited, api, ada, project):
    path = f"/projects/{project.pk}/invitations/{invited['id']}"
    assert api(ada).delete(path).status_code == 204
    cy = make_user("Cy")
    assert api(cy).post("/invitations/accept", {"token": invited["token"]}).status_code == 404


def test_inviting_again_replaces_the_first_token(invited, api, ada, members):
    api(ada).post(members, {"email": "cy@example.com", "role": "viewer"})
    cy = make_user("Cy")
    assert api(cy).post("/invitations/accept", {"token": invited["token"]}).status_code == 404
    assert Invitation.objects.get().role == "viewer"


def test_an_invitation_opens_a_closed_registration_for_its_address(invited, settings, project):
    settings.REGISTRATION = "invite"
    body = {"email": "cy@example.com", "password": PASSWORD, "name": "Cy"}
    stranger = Api(None)
    assert stranger.post("/auth/register", body).status_code == 403
    other = {**body, "email": "di@example.com", "invitation": invited["token"]}
    assert stranger.post("/auth/register", other).status_code == 403
    answer = stranger.post("/auth/register", {**body, "invitation": invited["token"]})
    assert answer.status_code == 201
    roles = {m["project"]: m["role"] for m in answer.json()["user"]["memberships"]}
    assert roles[str(project.pk)] == "operator"
    assert sorted(roles.values()) == ["operator", "owner"]

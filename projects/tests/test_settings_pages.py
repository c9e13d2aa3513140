"""The pages of settings, projects, invitations and oneself."""

import re

import pytest

from governance.models import AuditEntry
from projects import services
from projects.models import ApiKey, Environment, Membership, Project, Secret
from tests.support.cast import PASSWORD, Api, make_user

HTMX = {"HX-Request": "true"}


@pytest.fixture
def site(client, own, project):
    """The owner's browser."""
    client.force_login(own)
    return client


def text(answer) -> str:
    return answer.content.decode()


def test_the_settings_say_what_the_project_is(site, project):
    shown = text(site.get("/settings/"))
    assert project.name in shown
    assert str(project.pk) in shown
    assert "90 days" in shown


def test_a_viewer_sees_no_buttons_and_no_api_keys(client, vic):
    client.force_login(vic)
    shown = text(client.get("/settings/"))
    assert "/edit/" not in shown
    assert "/settings/api-keys/" not in shown
    assert "/settings/secrets/" in shown


def test_editing_the_project_by_dialog_is_audited(site, project):
    form = {"name": "South", "description": "", "content_capture": "off", "retention_days": 30}
    path = f"/settings/project/{project.pk}/edit/"
    assert site.post(path, form, headers=HTMX).status_code == 204
    project.refresh_from_db()
    assert (project.name, project.content_capture, project.retention_days) == ("South", "off", 30)
    entry = AuditEntry.objects.get(action="project.changed")
    assert entry.before["name"] == "Northwind"


def test_a_bad_edit_comes_back_as_typed(site, project):
    form = {"name": "", "content_capture": "off", "retention_days": "many"}
    answer = site.post(f"/settings/project/{project.pk}/edit/", form)
    assert answer.status_code == 422
    assert "many" in text(answer)


def test_a_secret_by_page_is_stored_and_never_shown(site, project):
    form = {"name": "openai", "value": "sk-canary-1234567890", "allowed_hosts": "a.example.com"}
    answer = site.post("/settings/secrets/new/", form)
    assert answer.status_code == 302
    secret = Secret.objects.get()
    for path in ("/settings/secrets/", f"/settings/secrets/{secret.pk}/edit/", "/audit/"):
        shown = text(site.get(path))
        assert "canary" not in shown
    assert AuditEntry.objects.filter(action="secret.created").count() == 1


def test_a_refused_secret_is_not_repeated_in_the_answer(site, project):
    form = {"name": "openai", "value": "sk-canary-1\x00", "allowed_hosts": "https://a.example.com"}
    answer = site.post("/settings/secrets/new/", form)
    assert answer.status_code == 422
    assert not Secret.objects.exists()


def test_an_empty_value_keeps_the_stored_one(site, make_secret):
    secret = make_secret()
    before = bytes(secret.ciphertext)
    path = f"/settings/secrets/{secret.pk}/edit/"
    assert site.post(path, {"value": "", "allowed_hosts": "b.example.com"}).status_code == 302
    secret.refresh_from_db()
    assert secret.allowed_hosts == ["b.example.com"]
    assert bytes(secret.ciphertext) == before


def test_an_api_key_by_page_is_shown_once_and_works(site, project):
    answer = site.post("/settings/api-keys/new/", {"name": "CI", "scopes": ["runs:read"]})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    shown = re.search(r'id="once">([^<]+)<', text(answer))[1]
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {shown}")
    assert client.get("/runs").status_code == 200
    assert client.get("/tools").status_code == 403
    key = ApiKey.objects.get()
    assert shown not in text(site.get("/settings/api-keys/"))
    assert site.post(f"/settings/api-keys/{key.pk}/revoke/").status_code == 302
    assert client.get("/runs").status_code == 401


def test_an_environment_by_page(site, project):
    form = {"name": "qa", "rank": 5, "variables": '{"REGION": "eu"}'}
    assert site.post("/settings/environments/new/", form).status_code == 302
    row = Environment.objects.get(name="qa")
    assert (row.project, row.variables, row.protected) == (project, {"REGION": "eu"}, False)
    again = site.post("/settings/environments/new/", form)
    assert again.status_code == 422
    bad = site.post("/settings/environments/new/", {**form, "name": "qb", "variables": "{1}"})
    assert bad.status_code == 422


def test_deleting_an_environment_wants_its_name(site, project):
    row = project.environments.create(name="qa", rank=9)
    path = f"/settings/environments/{row.pk}/delete/"
    assert site.post(path, {"confirm_name": "prod"}).status_code == 422
    assert site.post(path, {"confirm_name": "qa"}).status_code == 302
    assert not Environment.objects.filter(pk=row.pk).exists()


def test_a_new_project_becomes_the_current_one(site, own):
    assert site.post("/projects/new/", {"name": "Second"}).status_code == 302
    project = Project.objects.get(name="Second")
    assert project.slug == "second"
    assert site.session["project"] == str(project.pk)
    shown = text(site.get("/projects/"))
    assert "Second" in shown
    assert "Northwind" in shown


def test_somebody_without_a_project_can_make_one(client, db):
    client.force_login(make_user("Zed"))
    assert client.get("/").status_code == 200
    assert client.get("/projects/new/").status_code == 200
    assert client.post("/projects/new/", {"name": "First"}).status_code == 302


def test_a_foreign_project_is_not_chosen(site, bo):
    foreign = Project.objects.get(name="Elsewhere")
    assert site.post("/projects/choose/", {"project": str(foreign.pk)}).status_code == 404


def test_choosing_leads_back_to_our_own_pages_only(site, project):
    form = {"environment": "dev", "next": "https://evil.com/"}
    assert site.post("/projects/choose-environment/", form).url == "/"


def test_archiving_and_waking_by_page(site, project):
    site.post(f"/settings/project/{project.pk}/archive/")
    assert Project.objects.get(pk=project.pk).status == "archived"
    assert "Activate" in text(site.get("/settings/"))
    site.post(f"/settings/project/{project.pk}/activate/")
    assert Project.objects.get(pk=project.pk).status == "active"


# --- members and invitations ---------------------------------------------------------------------


def test_a_role_by_page(site, project, vic):
    row = Membership.objects.get(user=vic)
    site.post(f"/settings/members/{row.pk}/role/", {"role": "admin"})
    row.refresh_from_db()
    assert row.role == "admin"


def test_the_last_owner_stays_by_page_too(site, own, project):
    row = Membership.objects.get(user=own)
    answer = site.post(f"/settings/members/{row.pk}/role/", {"role": "viewer"})
    assert answer.status_code == 422
    assert "needs an owner" in text(answer)


def test_removing_by_page(site, project, vic):
    row = Membership.objects.get(user=vic)
    assert site.post(f"/settings/members/{row.pk}/remove/").status_code == 302
    assert not Membership.objects.filter(user=vic).exists()


def test_an_invitation_by_page_leads_to_membership(site, project, client):
    answer = site.post("/settings/members/new/", {"email": "Cy@example.com", "role": "operator"})
    link = re.search(r"https?://[^<\s]+/projects/invitations/[^<\s]+/", text(answer))[0]
    path = link.partition("testserver")[2]
    site.logout()
    assert "cy@example.com" in text(site.get(path))
    cy = make_user("Cy", password=PASSWORD)
    site.force_login(cy)
    assert site.post(path).url == "/"
    assert Membership.objects.get(user=cy).role == "operator"
    assert site.session["project"] == str(project.pk)
    assert site.get(path).status_code == 404


def test_an_invitation_opens_a_closed_registration_by_page(client, own, project, settings):
    settings.REGISTRATION = "invite"
    _, token = services.invite(project, email="cy@example.com", role="viewer", actor=own)
    form = {"name": "Cy", "email": "cy@example.com", "password1": PASSWORD}
    assert "closed" in text(client.get("/accounts/register/"))
    client.get(f"/projects/invitations/{token}/")
    answer = client.post("/accounts/register/", form)
    assert answer.status_code == 302
    assert Membership.objects.filter(user__email="cy@example.com", project=project).exists()


def test_somebody_elses_invitation_is_refused_by_page(client, own, project, bo):
    _, token = services.invite(project, email="cy@example.com", role="viewer", actor=own)
    client.force_login(bo)
    assert "signed in as" in text(client.get(f"/projects/invitations/{token}/"))
    assert client.post(f"/projects/invitations/{token}/").status_code == 403


def test_withdrawing_by_page(site, project, own):
    invitation, token = services.invite(project, email="c@example.com", role="viewer", actor=own)
    site.post(f"/settings/invitations/{invitation.pk}/withdraw/")
    assert services.open_invitation(token) is None


def test_ones_profile(site, own):
    assert site.post("/projects/profile/", {"name": "Renamed"}).status_code == 302
    own.refresh_from_db()
    assert own.name == "Renamed"
    assert site.post("/projects/profile/", {"name": "a\tb"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/settings/members/", 14),
        ("/settings/secrets/", 14),
        ("/settings/environments/", 14),
        ("/projects/", 14),
        ("/audit/", 14),
    ],
)
def test_a_list_costs_as_many_queries_for_one_row_as_for_twenty(
    site, project, own, make_secret, django_assert_num_queries, path, most
):
    def queries() -> int:
        with django_assert_num_queries(most, exact=False) as found:
            site.get(path)
        return len(found)

    site.get(path)
    few = queries()
    for n in range(20):
        make_secret(name=f"s{n}")
        project.environments.create(name=f"e{n}", rank=n)
        services.create_project(actor=own, name=f"P{n}")
        Membership.objects.create(project=project, user=make_user(f"U{n}"), role="viewer")
    assert queries() == few

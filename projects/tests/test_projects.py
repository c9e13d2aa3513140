"""Projects and environments: made, changed, archived, deleted, brought back."""

import pytest

from governance.models import AuditEntry
from projects.models import Environment, Project
from tests.support.cast import make_user


def test_a_new_project_has_an_owner_and_three_environments(api, bo):
    answer = api(bo).post("/projects", {"name": "Ice Cream!"})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["slug"], body["role"], body["status"]) == ("ice-cream", "owner", "active")
    rows = api(bo).get(f"/projects/{body['id']}/environments").json()["results"]
    assert [(r["name"], r["protected"]) for r in rows] == [
        ("dev", False),
        ("staging", False),
        ("prod", True),
    ]


def test_a_taken_slug_is_refused_and_a_taken_name_is_not(api, bo, project):
    answer = api(bo).post("/projects", {"name": "Mine", "slug": project.slug})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "slug"
    again = api(bo).post("/projects", {"name": project.name})
    assert again.status_code == 201
    assert again.json()["slug"].startswith("northwind-")


def test_patch_changes_and_put_takes_defaults(api, ada, project):
    path = f"/projects/{project.pk}"
    assert api(ada).patch(path, {"description": "Ice"}).json()["description"] == "Ice"
    body = api(ada).put(path, {"name": "South"}).json()
    assert (body["name"], body["description"], body["retention_days"]) == ("South", "", 90)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "other"}, "slug"),
        ({"name": "a\x07b"}, "name"),
        ({"content_capture": "some"}, "content_capture"),
        ({"retention_days": -1}, "retention_days"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_bad_change_names_its_field(api, ada, project, body, field):
    answer = api(ada).patch(f"/projects/{project.pk}", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_an_unchanged_project_is_304_and_a_stale_change_412(api, ada, project):
    path = f"/projects/{project.pk}"
    tag = api(ada).get(path).headers["ETag"]
    assert api(ada).get(path, headers={"If-None-Match": tag}).status_code == 304
    assert api(ada).patch(path, {"name": "A"}, headers={"If-Match": tag}).status_code == 200
    assert api(ada).patch(path, {"name": "B"}, headers={"If-Match": tag}).status_code == 412


def test_an_archived_project_is_read_only_and_can_be_woken(api, own, ada, ana, project):
    path = f"/projects/{project.pk}"
    assert api(ada).post(f"{path}/archive").json()["status"] == "archived"
    assert api(own).get(path).json()["role"] == "owner"
    answer = api(own).patch(path, {"name": "X"})
    assert answer.status_code == 403
    assert "archived" in answer.json()["detail"]
    assert api(ana).post(f"{path}/activate").status_code == 403
    assert api(ada).post(f"{path}/archive").status_code == 409
    assert api(ada).post(f"{path}/activate").json()["status"] == "active"
    assert api(own).patch(path, {"name": "X"}).status_code == 200


def test_a_deleted_project_is_gone_for_all_until_its_owner_restores_it(api, own, ada, vic, project):
    path = f"/projects/{project.pk}"
    assert api(own).delete(path).status_code == 204
    for user in (own, ada, vic):
        assert api(user).get(path).status_code == 404
        assert api(user).get(f"{path}/environments").status_code == 404
    assert api(ada).post(f"{path}/restore").status_code == 403
    assert api(make_user("Zed")).post(f"{path}/restore").status_code == 404
    assert api(own).post(f"{path}/restore").status_code == 200
    assert api(vic).get(path).status_code == 200
    actions = list(AuditEntry.objects.filter(project=project).values_list("action", flat=True))
    assert actions[:2] == ["project.restored", "project.trashed"]


def test_a_project_can_be_deleted_for_good(api, own, project):
    assert api(own).delete(f"/projects/{project.pk}?hard=true").status_code == 204
    assert not Project.objects.filter(pk=project.pk).exists()
    assert api(own).post(f"/projects/{project.pk}/restore").status_code == 404
    assert AuditEntry.objects.filter(project_id=project.pk, action="project.deleted").exists()


def test_a_strangers_project_is_404_everywhere(api, bo, project):
    path = f"/projects/{project.pk}"
    for tail in ("", "/environments", "/members", "/invitations"):
        assert api(bo).get(path + tail).status_code == 404
    assert api(bo).post(f"{path}/members", {"email": bo.email, "role": "owner"}).status_code == 404
    assert api(bo).get(f"/projects?project={project.pk}").json()["results"] == []


@pytest.mark.parametrize("text", ["x", "0", "00000000-0000-0000-0000-000000000000"])
def test_a_malformed_or_unknown_id_is_404(api, own, text):
    assert api(own).get(f"/projects/{text}").status_code == 404
    assert api(own).get(f"/projects/{text}/environments").status_code == 404
    assert api(own).post(f"/projects/{text}/restore").status_code == 404


# --- environments -------------------------------------------------------------------------------


def test_an_environment_is_found_by_name_or_id(api, vic, project):
    path = f"/projects/{project.pk}/environments"
    by_name = api(vic).get(f"{path}/prod").json()
    assert by_name["protected"] is True
    assert api(vic).get(f"{path}/{by_name['id']}").json() == by_name
    assert api(vic).get(f"{path}/nowhere").status_code == 404


def test_an_environment_of_ones_own(api, ada, project):
    path = f"/projects/{project.pk}/environments"
    body = {"name": "qa", "rank": 5, "variables": {"REGION": "eu"}}
    answer = api(ada).post(path, body)
    assert answer.status_code == 201
    assert answer.json()["project"] == str(project.pk)
    assert api(ada).post(path, body).status_code == 422
    assert api(ada).patch(f"{path}/qa", {"name": "qb"}).status_code == 422
    assert api(ada).patch(f"{path}/qa", {"protected": True}).json()["protected"] is True
    assert api(ada).delete(f"{path}/qa").status_code == 204
    assert not Environment.objects.filter(name="qa").exists()


@pytest.mark.parametrize("variables", [["a"], {"1x": 1}, {"a b": 1}, {"A": {"deep": 1}}, "text"])
def test_variables_are_plain_named_values(api, ada, project, variables):
    path = f"/projects/{project.pk}/environments/dev"
    answer = api(ada).patch(path, {"variables": variables})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "variables"


def test_an_environment_with_runs_is_not_deleted(api, ada, project, make_run):
    make_run(environment="dev")
    answer = api(ada).delete(f"/projects/{project.pk}/environments/dev")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert answer.json()["used_by"]

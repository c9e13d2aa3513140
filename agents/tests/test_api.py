"""The registry of agents by its API."""

import pytest

from agents.models import Agent
from governance.models import AuditEntry

pytestmark = pytest.mark.django_db
FIELDS = {
    "id",
    "project",
    "slug",
    "name",
    "kind",
    "description",
    "tags",
    "objective",
    "status",
    "config",
    "version",
    "created_at",
    "updated_at",
    "url",
    "display",
}


def codes(response):
    return {(fault["field"], fault["code"]) for fault in response.data["errors"]}


def actions(agent):
    return list(
        AuditEntry.objects.filter(target_id=str(agent))
        .order_by("id")
        .values_list("action", flat=True)
    )


def test_an_agent_is_created_with_its_version_1(create, project):
    response = create(tags=["demo", "demo"], description="Packs.")
    assert response.status_code == 201
    assert set(response.data) == FIELDS
    assert (response.data["version"], response.data["status"]) == (1, "active")
    assert response.data["tags"] == ["demo"]
    assert response.data["config"]["limits"]["turns"] == 20
    assert response.headers["ETag"]
    assert actions(response.data["id"]) == ["agent.created"]


def test_optional_fields_have_their_defaults(create):
    data = create().data
    assert (data["tags"], data["description"]) == ([], "")


def test_faults_are_named_and_nothing_is_saved(create, project):
    response = create(config={"provider": "openai", "turns": 3}, extra=1)
    assert (response.status_code, codes(response)) == (422, {("extra", "unknown_field")})
    response = create(config={"provider": "openai", "turns": 3})
    assert codes(response) >= {("config.turns", "unknown_field"), ("config.model", "required")}
    assert not Agent.objects.filter(project=project).exists()


def test_a_slug_is_used_once_in_a_project(create):
    assert create().status_code == 201
    response = create()
    assert response.status_code == 422
    assert response.data["detail"] == "This project has an agent of that slug."


def test_tools_and_secrets_must_exist(create, make_tool, make_secret):
    config = {"provider": "openai", "model": "m", "secret": "openai", "tools": ["echo", "nope"]}
    make_tool(slug="echo")
    response = create(config=config)
    assert codes(response) == {
        ("config.tools.1", "does_not_exist"),
        ("config.secret", "does_not_exist"),
    }
    make_secret(name="openai", allowed_hosts=["api.example.com"])
    response = create(config={**config, "tools": ["echo"]})
    assert codes(response) == {("config.secret", "secret_host_refused")}
    assert "bound to api.example.com" in response.data["detail"]
    make_secret(name="right", allowed_hosts=["api.openai.com"])
    response = create(config={**config, "tools": ["echo"], "secret": "right"})
    assert response.status_code == 201


def test_the_embedded_model_with_tools_is_refused_on_save(create, make_tool):
    make_tool(slug="echo")
    response = create(config={"provider": "embedded", "tools": ["echo"]})
    assert codes(response) == {("config.tools", "tools_not_supported")}
    assert "cannot call tools" in response.data["detail"]


def test_another_configuration_is_the_next_version_the_same_one_is_none(api, ana, agent):
    url = f"/agents/{agent.pk}"
    same = api(ana).patch(url, {"config": agent.config, "name": "Bags"}, format="json")
    assert (same.data["version"], same.data["name"]) == (1, "Bags")
    config = {**agent.config, "instructions": "Be brief."}
    changed = api(ana).patch(url, {"config": config, "note": "Shorter"}, format="json")
    assert changed.data["version"] == 2
    newest = agent.versions.first()
    assert (newest.number, newest.note, newest.created_by_name) == (2, "Shorter", "Ana")
    assert actions(agent.pk) == ["agent.created", "agent.changed", "agent.changed"]


def test_put_replaces_and_project_slug_and_kind_stay(api, ana, agent):
    Agent.objects.filter(pk=agent.pk).update(description="Old", tags=["x"])
    url, body = f"/agents/{agent.pk}", {"name": "New", "config": agent.config}
    whole = {**body, "project": str(agent.project_id), "slug": "packer", "kind": "model"}
    response = api(ana).put(url, whole, format="json")
    assert (response.data["description"], response.data["tags"]) == ("", [])
    assert api(ana).put(url, {"name": "New"}, format="json").status_code == 422
    response = api(ana).patch(url, {"kind": "worker"}, format="json")
    assert codes(response) == {("kind", "immutable")}


def test_a_stale_change_is_refused(api, ana, agent):
    url = f"/agents/{agent.pk}"
    tag = api(ana).get(url).headers["ETag"]
    assert api(ana).get(url, headers={"If-None-Match": tag}).status_code == 304
    change = {"name": "New"}
    headers = {"If-Match": tag}
    assert api(ana).patch(url, change, format="json", headers=headers).status_code == 200
    assert api(ana).patch(url, change, format="json", headers=headers).status_code == 412


def test_rows_of_the_list_leave_the_configuration_out(api, vic, agent):
    data = api(vic).get("/agents").data
    assert (data["count"], data["count_exact"]) == (1, True)
    assert set(data["results"][0]) == FIELDS - {"config", "objective"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=active", 1),
        ("status=draft", 0),
        ("status=draft&status=active", 1),
        ("kind=model", 1),
        ("kind=worker", 0),
        ("tag=demo", 1),
        ("tag=other", 0),
        ("search=pack", 1),
        ("search=zzz", 0),
    ],
)
def test_the_list_is_filtered(api, vic, create, query, found):
    create(tags=["demo"])
    assert api(vic).get(f"/agents?{query}").data["count"] == found


def test_bad_filter_values_are_422(api, vic, agent):
    for query in ("kind=robot", "project=x", "ordering=secret", "page=0"):
        assert api(vic).get(f"/agents?{query}").status_code == 422


def test_the_list_asks_the_same_few_questions_for_any_number_of_rows(
    api, ana, create, django_assert_num_queries
):
    for number in range(12):
        create(slug=f"a{number}")
    with django_assert_num_queries(3):
        assert len(api(ana).get("/agents").data["results"]) == 12


def test_versions_are_listed_compared_and_rolled_back_to(api, ana, agent):
    url = f"/agents/{agent.pk}"
    config = {**agent.config, "model": "m-2", "parameters": {"temperature": 0.1}}
    api(ana).patch(url, {"config": config}, format="json")
    rows = api(ana).get(f"{url}/versions").data["results"]
    assert [(row["version"], row["is_current"]) for row in rows] == [(2, True), (1, False)]
    assert api(ana).get(f"{url}/versions/1").data["config"] == agent.config
    diff = api(ana).get(f"{url}/versions/2/diff").data
    assert (diff["base"], diff["version"]) == (1, 2)
    assert [(c["path"], c["kind"], c["after"]) for c in diff["changes"]] == [
        ("model", "changed", "m-2"),
        ("parameters.temperature", "added", 0.1),
    ]
    back = api(ana).post(f"{url}/rollback", {"version": 1}, format="json")
    assert (back.data["version"], back.data["config"]) == (3, agent.config)
    assert actions(agent.pk)[-1] == "agent.rolled_back"
    again = api(ana).post(f"{url}/rollback", {"version": 1}, format="json")
    assert (again.status_code, again.data["code"]) == (409, "nothing_to_roll_back")


def test_versions_that_are_not_there(api, ana, agent):
    url = f"/agents/{agent.pk}"
    for number in ("2", "0", "x", "9999999999", "²"):
        assert api(ana).get(f"{url}/versions/{number}").status_code == 404
    assert api(ana).get(f"{url}/versions/1/diff?base=7").status_code == 422
    response = api(ana).post(f"{url}/rollback", {"version": 7}, format="json")
    assert codes(response) == {("version", "does_not_exist")}
    assert api(ana).post(f"{url}/rollback", {}, format="json").status_code == 422


def test_a_rollback_to_what_is_gone_is_refused(api, ana, create, make_tool):
    tool = make_tool(slug="echo")
    made = create(
        config={
            "provider": "openai",
            "model": "m",
            "base_url": "http://127.0.0.1:9",
            "tools": ["echo"],
        }
    ).data
    url = f"/agents/{made['id']}"
    api(ana).patch(url, {"config": {**made["config"], "tools": []}}, format="json")
    tool.delete()
    response = api(ana).post(f"{url}/rollback", {"version": 1}, format="json")
    assert codes(response) == {("config.tools.0", "does_not_exist")}
    assert api(ana).get(url).data["version"] == 2


def test_an_agent_goes_to_the_trash_and_comes_back(api, ana, agent):
    url = f"/agents/{agent.pk}"
    assert api(ana).delete(url).status_code == 204
    assert api(ana).get(url).status_code == 404
    assert api(ana).get(f"{url}/versions").status_code == 404
    assert api(ana).post(f"{url}/restore").status_code == 200
    assert api(ana).delete(f"{url}?hard=true").status_code == 204
    assert not Agent.objects.filter(pk=agent.pk).exists()


def test_what_is_deployed_cannot_be_deleted(api, ana, agent, deploy):
    url, deployment = f"/agents/{agent.pk}", deploy("dev", phase="available")
    response = api(ana).delete(url)
    assert (response.status_code, response.data["code"]) == (409, "in_use")
    assert response.data["used_by"] == ["its deployment in dev"]
    type(deployment).objects.update(phase="retired")
    assert api(ana).delete(f"{url}?hard=true").status_code == 409
    assert api(ana).delete(url).status_code == 204


@pytest.mark.parametrize(
    ("verb", "path", "statuses"),
    [
        ("get", "", (200, 200, 404, 401)),
        ("get", "/versions", (200, 200, 404, 401)),
        ("get", "/versions/1", (200, 200, 404, 401)),
        ("get", "/versions/1/diff", (200, 200, 404, 401)),
        ("get", "/health", (200, 200, 404, 401)),
        ("get", "/metrics", (200, 200, 404, 401)),
        ("patch", "", (200, 403, 404, 401)),
        ("put", "", (422, 403, 404, 401)),
        ("post", "/rollback", (422, 403, 404, 401)),
        ("post", "/check-connection", (200, 403, 404, 401)),
        ("post", "/restore", (404, 404, 404, 401)),
        ("delete", "", (204, 403, 404, 401)),
    ],
)
def test_who_may_do_what(api, ana, vic, bo, agent, verb, path, statuses):
    for user, status in zip((None, bo, vic, ana), reversed(statuses), strict=True):
        response = getattr(api(user), verb)(f"/agents/{agent.pk}{path}", {}, format="json")
        assert response.status_code == status, (user, response.data)


def test_only_members_with_the_role_create(create, vic, bo, project):
    assert create(by=vic).status_code == 403
    response = create(by=bo)
    assert (response.status_code, codes(response)) == (422, {("project", "does_not_exist")})
    assert create(by=None).status_code == 401


def test_every_route_takes_a_trailing_slash(api, vic, agent):
    for path in (
        "/agents/",
        f"/agents/{agent.pk}/",
        f"/agents/{agent.pk}/versions/1/",
        f"/agents/{agent.pk}/health/",
        "/instances/",
    ):
        assert api(vic).get(path).status_code == 200

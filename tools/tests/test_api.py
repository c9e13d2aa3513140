"""The registry of tools by its routes."""

import pytest

from governance.models import AuditEntry
from projects.vault import store
from tools.models import Tool, ToolVersion

URL = "/api/v1/tools"


@pytest.fixture
def body(project):
    return {
        "project": str(project.pk),
        "slug": "weather",
        "name": "Weather",
        "kind": "http",
        "config": {"method": "GET", "url": "https://host.test/{city}", "query": {"u": "c"}},
    }


def codes(answer):
    return {(e["field"], e["code"]) for e in answer.json()["errors"]}


def audited():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_creating_gives_the_tool_with_every_default(api, body, project):
    answer = api.post(URL, body)
    assert answer.status_code == 201
    found = answer.json()
    tool = Tool.objects.get()
    expected = {
        "id": str(tool.pk),
        "project": str(project.pk),
        "slug": "weather",
        "name": "Weather",
        "kind": "http",
        "description": "",
        "tags": [],
        "status": "active",
        "version": 1,
        "input_schema": {"type": "object"},
        "output_schema": None,
        "effect_class": "unsafe",
        "stakes": "write",
        "rate_limit": None,
        "timeout_seconds": 30,
    }
    assert {key: found[key] for key in expected} == expected
    assert found["config"]["query"] == {"u": "c"}
    assert found["config"]["auth"] is None
    assert answer["ETag"]
    assert "tool.created" in audited()


def test_the_shape_of_the_contract_is_taken(api, body):
    given = {
        "description": "d",
        "tags": ["a", "b", "a"],
        "effect_class": "read",
        "stakes": "read",
        "rate_limit": {"limit": 10, "per_seconds": 1, "when_limited": "wait"},
        "timeout_seconds": 12.5,
        "output_schema": {"type": "object"},
    }
    found = api.post(URL, {**body, **given}).json()
    assert {key: found[key] for key in given} == {**given, "tags": ["a", "b"]}


@pytest.mark.parametrize("function", ["noop", "echo", "sleep", "fail"])
def test_each_built_in_function_can_be_a_tool(api, project, function):
    body = {
        "project": str(project.pk),
        "slug": function,
        "name": function,
        "kind": "python",
        "config": {"function": function},
    }
    assert api.post(URL, body).status_code == 201


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"colour": "red"}, {("colour", "unknown_field")}),
        ({"kind": "carrier-pigeon"}, {("kind", "invalid_choice")}),
        ({"kind": "soap"}, {("kind", "invalid_choice")}),
        ({"slug": "Not A Slug"}, {("slug", "invalid")}),
        ({"config": {"url": "ftp://x"}}, {("config.url", "invalid_url")}),
        ({"config": "x"}, {("config", "invalid")}),
        (
            {"config": {"url": "https://a.test/", "method": "POST", "body": "x" * 300_000}},
            {("config", "too_large")},
        ),
        (
            {"config": {"url": "ftp://x"}, "input_schema": {"type": "objekt"}},
            {("config.url", "invalid_url"), ("input_schema.type", "invalid_schema")},
        ),
        ({"input_schema": None}, {("input_schema", "null")}),
        ({"output_schema": []}, {("output_schema", "invalid_schema")}),
        ({"effect_class": "magic"}, {("effect_class", "invalid_choice")}),
        ({"stakes": "high"}, {("stakes", "invalid_choice")}),
        ({"timeout_seconds": 0}, {("timeout_seconds", "min_value")}),
        ({"timeout_seconds": 4000}, {("timeout_seconds", "max_value")}),
        ({"rate_limit": {"limit": 0}}, {("rate_limit.limit", "invalid")}),
        (
            {"rate_limit": {"limit": True, "x": 1, "when_limited": "cry", "per_seconds": 0}},
            {
                ("rate_limit.x", "unknown_field"),
                ("rate_limit.limit", "invalid"),
                ("rate_limit.when_limited", "invalid_choice"),
                ("rate_limit.per_seconds", "invalid"),
            },
        ),
        ({"rate_limit": [1]}, {("rate_limit", "invalid")}),
        (
            {"config": {"url": "https://host.test/", "auth": {"type": "bearer", "secret": "none"}}},
            {("config.auth.secret", "does_not_exist")},
        ),
        ({"project": "00000000-0000-0000-0000-000000000000"}, {("project", "does_not_exist")}),
    ],
)
def test_each_wrong_field_is_named_and_nothing_is_saved(api, body, change, expected):
    answer = api.post(URL, {**body, **change})
    assert answer.status_code == 422
    assert codes(answer) == expected
    assert not Tool.objects.exists()
    assert not ToolVersion.objects.exists()


@pytest.mark.parametrize("missing", ["project", "slug", "name", "kind", "config"])
def test_a_missing_field_is_named(api, body, missing):
    del body[missing]
    answer = api.post(URL, body)
    assert answer.status_code == 422
    assert (missing, "required") in codes(answer)


def test_a_slug_is_taken_once_a_project(api, body):
    api.post(URL, body)
    answer = api.post(URL, body)
    assert answer.status_code == 422
    assert "slug" in answer.json()["detail"]


def test_a_secret_for_another_host_is_refused_on_save(api, body, project):
    body["config"]["auth"] = {"type": "bearer", "secret": "openai"}
    secret = {"project": project, "name": "openai", "value": "hush-hush", "actor": None}
    store(**secret, allowed_hosts=["api.openai.com"])
    answer = api.post(URL, body)
    assert codes(answer) == {("config.auth.secret", "secret_host_refused")}
    assert "bound to api.openai.com" in answer.json()["detail"]
    body["config"]["url"] = "https://api.openai.com/v1"
    assert api.post(URL, body).status_code == 201


def test_patch_changes_a_field_and_keeps_the_version(api, body):
    url = f"{URL}/{api.post(URL, body).json()['id']}"
    found = api.patch(url, {"name": "Sky", "status": "testing"}).json()
    assert (found["name"], found["status"], found["version"]) == ("Sky", "testing", 1)
    assert audited()[-1] == "tool.changed"


def test_another_definition_is_the_next_version(api, body):
    url = f"{URL}/{api.post(URL, body).json()['id']}"
    config = {"url": "https://other.test/"}
    assert api.patch(url, {"config": config}).json()["version"] == 2
    assert api.patch(url, {"config": config}).json()["version"] == 2
    assert api.patch(url, {"input_schema": {"required": ["a"]}}).json()["version"] == 3
    rows = api.get(f"{url}/versions").json()
    assert [row["version"] for row in rows["results"]] == [3, 2, 1]
    assert rows["count"] == 3
    assert rows["results"][2]["config"]["url"] == "https://host.test/{city}"
    assert rows["results"][0]["created_by"] == "Ana"


def test_put_replaces_and_what_is_left_out_takes_its_default(api, body):
    made = api.post(
        URL,
        {
            **body,
            "description": "d",
            "tags": ["a"],
            "effect_class": "read",
            "output_schema": {"type": "object"},
            "timeout_seconds": 5,
        },
    )
    found = api.put(f"{URL}/{made.json()['id']}", {"name": "W", "config": body["config"]}).json()
    assert (found["description"], found["tags"], found["effect_class"]) == ("", [], "unsafe")
    assert (found["output_schema"], found["timeout_seconds"], found["version"]) == (None, 30, 2)


def test_put_needs_what_creating_needs(api, body):
    made = api.post(URL, body).json()
    assert codes(api.put(f"{URL}/{made['id']}", {"name": "W"})) == {("config", "required")}


@pytest.mark.parametrize("change", [{"slug": "other"}, {"kind": "python"}])
def test_slug_and_kind_cannot_change(api, body, change):
    made = api.post(URL, body).json()
    answer = api.patch(f"{URL}/{made['id']}", change)
    assert answer.status_code == 422
    assert codes(answer) == {(next(iter(change)), "immutable")}


def test_a_put_of_what_was_got_changes_nothing(api, body):
    made = api.post(URL, body).json()
    read_only = {"id", "version", "created_at", "updated_at", "url", "display"}
    again = {key: value for key, value in made.items() if key not in read_only}
    found = api.put(f"{URL}/{made['id']}", again)
    assert found.status_code == 200
    assert {key: found.json()[key] for key in again} == again
    assert found.json()["version"] == 1


def test_if_match_guards_against_a_lost_change(api, body):
    made = api.post(URL, body)
    url = f"{URL}/{made.json()['id']}"
    tag = made["ETag"]
    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert api.patch(url, {"name": "A"}, headers={"If-Match": tag}).status_code == 200
    assert api.patch(url, {"name": "B"}, headers={"If-Match": tag}).status_code == 412


def test_deleting_is_soft_and_can_be_undone(api, make_tool):
    url = f"{URL}/{make_tool().pk}"
    assert api.delete(url).status_code == 204
    assert api.get(url).status_code == 404
    assert api.get(URL).json()["count"] == 0
    assert api.post(f"{url}/restore").status_code == 200
    assert api.get(url).json()["config"] == {"function": "echo"}


def test_deleting_for_good_takes_the_versions_along(api, make_tool):
    assert api.delete(f"{URL}/{make_tool().pk}?hard=true").status_code == 204
    assert not Tool.objects.exists()
    assert not ToolVersion.objects.exists()


def test_the_list_is_filtered_searched_and_ordered(api, make_tool):
    make_tool(slug="a", name="Alpha", tags=["x", "y"], effect_class="read")
    make_tool(slug="b", name="Beta", tags=["x"], status="inactive")
    make_tool(slug="c", name="Gamma", kind="http", config={"url": "https://a.test/"})

    def names(query):
        return [row["name"] for row in api.get(f"{URL}?ordering=name&{query}").json()["results"]]

    assert names("") == ["Alpha", "Beta", "Gamma"]
    assert names("status=inactive&status=testing") == ["Beta"]
    assert names("kind=http") == ["Gamma"]
    assert names("tag=x&tag=y") == ["Alpha"]
    assert names("effect_class=read") == ["Alpha"]
    assert names("search=amm") == ["Gamma"]
    assert names("project=00000000-0000-0000-0000-000000000000") == []
    assert names("nonsense=1") == ["Alpha", "Beta", "Gamma"]
    assert api.get(f"{URL}?kind=pigeon").status_code == 422


def test_a_list_costs_the_same_few_queries_whatever_its_length(
    api, make_tool, django_assert_max_num_queries
):
    for number in range(12):
        make_tool(slug=f"t{number}")
    with django_assert_max_num_queries(4):
        assert len(api.get(URL).json()["results"]) == 12


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("viewer", (200, 403, 403, 403, 403)),
        ("operator", (200, 201, 200, 200, 204)),
        ("admin", (200, 201, 200, 200, 204)),
        ("", (404, 422, 404, 404, 404)),
    ],
)
def test_what_each_role_may_do(as_role, body, make_tool, role, expected):
    client, url = as_role(role), f"{URL}/{make_tool().pk}"
    answers = (
        client.get(url),
        client.post(URL, body),
        client.patch(url, {"name": "X"}),
        client.post(f"{url}/test", {"arguments": {}}),
        client.delete(url),
    )
    assert tuple(answer.status_code for answer in answers) == expected


def test_a_stranger_sees_an_empty_list(as_role, make_tool):
    make_tool()
    assert as_role("").get(URL).json()["count"] == 0


def test_the_functions_of_installed_code_are_listed(api):
    found = {row["name"]: row for row in api.get(f"{URL}/functions").json()}
    assert found["sleep"]["input_schema"]["required"] == ["seconds"]
    assert found["echo"]["effect_class"] == "read"


def test_routes_take_a_trailing_slash(api, make_tool):
    assert api.get(f"{URL}/").status_code == 200
    assert api.get(f"{URL}/{make_tool().pk}/versions/").status_code == 200


@pytest.mark.parametrize("path", ["x", "x/versions", "x/usage"])
def test_a_malformed_id_is_absent(api, path):
    assert api.get(f"{URL}/{path}").status_code == 404

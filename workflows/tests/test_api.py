"""The registry of workflows by its routes."""

import pytest

from governance.models import AuditEntry
from workflows.models import Workflow, WorkflowVersion
from workflows.tests.definitions import chain, edge, graph, step

URL = "/workflows"
GOOD = {**chain("a", "b"), "output": {"x": "${steps.b.output}"}}
BAD = graph(step("a", set={"v": "${steps.nobody.output}"}), edges=[edge("a", "z")])


@pytest.fixture
def ask(api, ana):
    """The operator's client."""
    return api(ana)


@pytest.fixture
def body(project):
    return {
        "project": str(project.pk),
        "slug": "pack-list",
        "name": "Pack list",
        "definition": GOOD,
    }


@pytest.fixture
def made(ask, body):
    """The URL of a workflow with a draft."""
    return f"{URL}/{ask.post(URL, body).json()['id']}"


def codes(answer):
    assert answer.status_code == 422, answer.content
    return {(e["field"], e["code"]) for e in answer.json()["errors"]}


def audited():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_creating_gives_draft_version_1_with_every_default(ask, body, project):
    answer = ask.post(URL, body)
    assert answer.status_code == 201
    found = answer.json()
    workflow = Workflow.objects.get()
    assert found == {
        "id": str(workflow.pk), "project": str(project.pk), "slug": "pack-list",
        "name": "Pack list", "description": "", "tags": [], "status": "active",
        "definition": GOOD, "version": 1, "version_state": "draft", "released_version": None,
        "concurrency_limit": None, "concurrency_key": "", "concurrency_key_limit": None,
        "url": f"/workflows/{workflow.pk}/", "display": "Pack list",
        "created_at": found["created_at"], "updated_at": found["updated_at"],
    }  # fmt: skip
    assert answer["ETag"]
    version = workflow.versions.get()
    assert (version.number, version.state, version.created_by_name) == (1, "draft", "Ana")
    assert audited()[-1] == "workflow.created"


def test_a_draft_may_have_faults(ask, body):
    found = ask.post(URL, {**body, "definition": BAD})
    assert found.status_code == 201
    assert found.json()["definition"] == BAD
    assert ask.post(URL, {**body, "slug": "empty", "definition": {}}).status_code == 201


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"definition": None}, ("definition", "null")),
        ({"definition": []}, ("definition", "invalid")),
        ({"definition": "x"}, ("definition", "invalid")),
        ({"definition": {"x": deep(300)}}, ("definition", "invalid")),
        ({"definition": chain(*(f"n{i}" for i in range(2_001)))}, ("definition", "too_many_nodes")),
        ({"definition": {"x": "y" * 4_300_000}}, ("definition", "invalid")),
        ({"slug": "No Slug"}, ("slug", "invalid")),
        ({"name": "a\tb"}, ("name", "invalid")),
        ({"status": "gone"}, ("status", "invalid_choice")),
        ({"tags": "a"}, ("tags", "not_a_list")),
        ({"tags": ["x" * 61]}, ("tags.0", "max_length")),
        ({"colour": "red"}, ("colour", "unknown_field")),
        ({"concurrency_limit": 0}, ("concurrency_limit", "min_value")),
        ({"concurrency_key": "input."}, ("concurrency_key", "expression_invalid")),
        ({"concurrency_key": "steps.a.output"}, ("concurrency_key", "unknown_name")),
        ({"project": "00000000-0000-0000-0000-000000000000"}, ("project", "does_not_exist")),
        ({"project": "x"}, ("project", "does_not_exist")),
    ],
)
def test_each_wrong_field_is_named_and_nothing_is_saved(ask, body, change, expected):
    assert expected in codes(ask.post(URL, {**body, **change}))
    assert not Workflow.objects.exists()
    assert not WorkflowVersion.objects.exists()


@pytest.mark.parametrize("missing", ["project", "slug", "name", "definition"])
def test_a_missing_field_is_named(ask, body, missing):
    del body[missing]
    assert (missing, "required") in codes(ask.post(URL, body))


@pytest.mark.parametrize("raw", [b'{"definition": NaN}', b'{"a": 1e999}', b"{", b'{"a": Infinity}'])
def test_what_is_no_json_is_400(ask, raw):
    assert ask.generic("POST", URL, raw, "application/json").status_code == 400


@pytest.mark.parametrize(
    "raw", [b'{"x": "\\u0000"}', b'{"x": "\\ud800"}', b'{"x": 9223372036854775808}']
)
def test_what_cannot_be_stored_is_422(ask, made, raw):
    raw = b'{"definition": ' + raw + b"}"
    assert ask.generic("PATCH", made, raw, "application/json").status_code == 422
    assert ask.get(made).json()["definition"] == GOOD


def test_a_slug_is_taken_once_a_project(ask, body, made):
    answer = ask.post(URL, body)
    assert answer.status_code == 422
    assert "slug" in answer.json()["detail"]


def test_the_draft_takes_changes(ask, made):
    found = ask.patch(made, {"definition": BAD, "name": "Other"}).json()
    assert (found["version"], found["version_state"], found["name"]) == (1, "draft", "Other")
    assert found["definition"] == BAD
    entry = AuditEntry.objects.latest("id")
    assert entry.action == "workflow.changed"
    assert set(entry.after) == {"name", "sha256"}


def test_a_change_to_a_released_version_makes_the_next_draft(ask, made):
    ask.post(f"{made}/publish")
    found = ask.patch(made, {"definition": BAD}).json()
    assert (found["version"], found["version_state"], found["released_version"]) == (2, "draft", 1)
    assert ask.get(f"{made}/versions/1").json()["definition"] == GOOD
    assert ask.get(f"{made}/versions/2").json()["definition"] == BAD


def test_saving_a_released_version_as_it_is_makes_no_draft(ask, made):
    ask.post(f"{made}/publish")
    found = ask.patch(made, {"definition": dict(reversed(GOOD.items())), "description": "x"}).json()
    assert (found["version"], found["version_state"]) == (1, "released")


def test_drawing_a_released_version_anew_makes_no_draft(ask, made):
    ask.post(f"{made}/publish")
    drawn = {
        **GOOD,
        "nodes": [{**GOOD["nodes"][0], "position": {"x": 5, "y": 7}}, GOOD["nodes"][1]],
    }
    before = ask.get(made)
    found = ask.patch(made, {"definition": drawn})
    assert found.json()["version"] == 1
    assert found.json()["definition"] == drawn
    assert found["ETag"] != before["ETag"]
    version = WorkflowVersion.objects.get()
    assert version.definition == GOOD
    assert version.layout == {"a": {"x": 5, "y": 7}}


def test_put_replaces_and_what_is_left_out_takes_its_default(ask, body):
    more = {"description": "d", "tags": ["a"], "status": "inactive", "concurrency_limit": 3}
    url = f"{URL}/{ask.post(URL, {**body, **more}).json()['id']}"
    found = ask.put(url, {"name": "W", "definition": GOOD}).json()
    assert (found["description"], found["tags"], found["status"]) == ("", [], "active")
    assert (found["concurrency_limit"], found["slug"], found["version"]) == (None, "pack-list", 1)
    assert ("definition", "required") in codes(ask.put(url, {"name": "W"}))


def test_a_put_of_what_was_got_changes_nothing(ask, made):
    got = ask.get(made).json()
    answer = ask.put(made, got)
    assert answer.status_code == 200
    assert {**answer.json(), "updated_at": ""} == {**got, "updated_at": ""}


@pytest.mark.parametrize("change", [{"slug": "other"}, {"project": "x"}])
def test_slug_and_project_cannot_change(ask, made, change):
    assert codes(ask.patch(made, change)) == {(next(iter(change)), "immutable")}


def test_if_match_guards_against_a_lost_change(ask, made):
    tag = ask.get(made)["ETag"]
    assert ask.get(made, headers={"If-None-Match": tag}).status_code == 304
    assert ask.patch(made, {"name": "A"}, headers={"If-Match": tag}).status_code == 200
    assert ask.patch(made, {"name": "B"}, headers={"If-Match": tag}).status_code == 412
    assert ask.post(f"{made}/publish", headers={"If-Match": tag}).status_code == 412
    assert ask.delete(made, headers={"If-Match": tag}).status_code == 412


def test_validate_tells_the_faults_of_the_draft(ask, made):
    assert ask.post(f"{made}/validate").json() == {"valid": True, "faults": []}
    ask.patch(made, {"definition": BAD})
    answer = ask.post(f"{made}/validate", {})
    assert answer.status_code == 200
    assert answer.json() == {
        "valid": False,
        "faults": [
            {"node": "a", "field": "edges.0.to", "code": "unknown_node",
             "message": "There is no step 'z' in this graph."},
            {"node": "a", "field": "set.v", "code": "unknown_step",
             "message": "There is no step 'nobody'."},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        (BAD, "unknown_node"), (None, "type"), ([], "type"), (1, "type"), ("x", "type"),
        ({}, "required"), (graph(step("a", "tool", tool="nobody")), "unknown_tool"),
        (graph(step("a", "agent", agent="nobody")), "unknown_agent"),
        (graph(step("a", "workflow", workflow="nobody")), "unknown_workflow"),
        (graph(step("a", "workflow", workflow="pack-list")), "workflow_cycle"),
        ({"x": deep(300)}, "not_storable"),
    ],
)  # fmt: skip
def test_validate_takes_any_definition_and_keeps_none(ask, made, definition, code):
    answer = ask.post(f"{made}/validate", {"definition": definition})
    assert answer.status_code == 200
    assert answer.json()["valid"] is False
    assert answer.json()["faults"][0]["code"] == code
    assert ask.get(made).json()["definition"] == GOOD


def test_validate_knows_the_tools_and_agents_of_the_project(ask, made, make_tool, make_agent):
    make_tool(slug="echo")
    make_agent(slug="packer")
    definition = graph(step("a", "tool", tool="echo"), step("b", "agent", agent="packer"))
    answer = ask.post(f"{made}/validate", {"definition": definition})
    assert answer.json() == {"valid": True, "faults": []}


def test_a_deleted_tool_is_unknown(ask, made, make_tool):
    tool = make_tool(slug="echo")
    ask.delete(f"/tools/{tool.pk}")
    definition = graph(step("a", "tool", tool="echo"))
    found = ask.post(f"{made}/validate", {"definition": definition}).json()["faults"]
    assert [fault["code"] for fault in found] == ["unknown_tool"]


@pytest.mark.parametrize("route", ["validate", "publish"])
@pytest.mark.parametrize("given", [[], "x", {"colour": 1}])
def test_a_verb_takes_only_what_it_knows(ask, made, route, given):
    assert ask.post(f"{made}/{route}", given).status_code == 422


def test_publishing_releases_the_draft(ask, made):
    answer = ask.post(f"{made}/publish", {"note": "First"})
    assert answer.status_code == 201
    found = answer.json()
    assert (found["version"], found["state"], found["note"]) == (1, "released", "First")
    assert (found["definition"], found["is_current"], found["is_released"]) == (GOOD, True, True)
    assert found["released_at"]
    shown = ask.get(made).json()
    assert (shown["version_state"], shown["released_version"]) == ("released", 1)
    assert audited()[-1] == "workflow.published"


def test_publishing_twice_is_a_conflict(ask, made):
    ask.post(f"{made}/publish")
    answer = ask.post(f"{made}/publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_publish")


def test_an_invalid_draft_is_not_published(ask, made):
    ask.patch(made, {"definition": BAD})
    answer = ask.post(f"{made}/publish")
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid_definition"
    assert [fault["code"] for fault in problem["faults"]] == ["unknown_node", "unknown_step"]
    assert problem["errors"][1] == {
        "field": "a.set.v", "code": "unknown_step", "message": "There is no step 'nobody'."
    }  # fmt: skip
    assert ask.get(made).json()["released_version"] is None
    assert "workflow.published" not in audited()


def test_a_bad_position_is_a_fault_too(ask, made):
    definition = graph(step("a", position={"x": "left"}))
    ask.patch(made, {"definition": definition})
    assert ask.get(made).json()["definition"] == definition
    [fault] = ask.post(f"{made}/publish").json()["faults"]
    assert (fault["field"], fault["code"]) == ("position.x", "type")


def test_versions_are_listed_newest_first_without_definitions(ask, made):
    ask.post(f"{made}/publish", {"note": "First"})
    ask.patch(made, {"definition": chain("a")})
    page = ask.get(f"{made}/versions").json()
    assert (page["count"], page["count_exact"]) == (2, True)
    assert [(row["version"], row["state"], row["note"]) for row in page["results"]] == [
        (2, "draft", ""), (1, "released", "First")
    ]  # fmt: skip
    assert [(row["is_current"], row["is_released"]) for row in page["results"]] == [
        (True, False), (False, True)
    ]  # fmt: skip
    assert "definition" not in page["results"][0]
    assert len(ask.get(f"{made}/versions?page_size=1").json()["results"]) == 1


@pytest.mark.parametrize("number", ["0", "9", "x", "-1", "1.5", "9" * 30, "٣"])
@pytest.mark.parametrize("more", ["", "/diff"])
def test_a_version_that_is_not_there(ask, made, number, more):
    assert ask.get(f"{made}/versions/{number}{more}").status_code == 404


def test_the_difference_of_two_versions(ask, made):
    ask.post(f"{made}/publish")
    after = graph(step("a", set={"n": 1}), step("c"), edges="a>c", output={"x": 1})
    ask.patch(made, {"definition": after})
    found = ask.get(f"{made}/versions/2/diff").json()
    assert (found["base"], found["version"]) == (1, 2)
    assert found["nodes"] == {"added": ["c"], "removed": ["b"], "changed": ["a"]}
    assert found["edges"] == {"added": ["a → c"], "removed": ["a → b"], "changed": []}
    assert {"path": "nodes.a.set.n", "kind": "added", "before": None, "after": 1} in found[
        "changes"
    ]
    assert ask.get(f"{made}/versions/1/diff?base=2").json()["nodes"]["added"] == ["b"]
    assert ask.get(f"{made}/versions/1/diff").json()["changes"] == []


@pytest.mark.parametrize(
    ("base", "code"), [("x", "invalid"), ("-1", "invalid"), ("9", "does_not_exist")]
)
def test_a_difference_needs_a_version_to_compare_with(ask, made, base, code):
    assert codes(ask.get(f"{made}/versions/1/diff?base={base}")) == {("base", code)}


def test_an_older_version_comes_back_as_the_draft(ask, made):
    ask.post(f"{made}/publish")
    ask.patch(made, {"definition": chain("z")})
    ask.post(f"{made}/publish")
    answer = ask.post(f"{made}/versions/1/restore")
    assert answer.status_code == 201
    found = answer.json()
    assert (found["version"], found["state"], found["definition"]) == (3, "draft", GOOD)
    assert found["note"] == "Restored from version 1"
    assert audited()[-1] == "workflow.version_restored"


def test_restoring_replaces_the_draft_there_is(ask, made):
    ask.post(f"{made}/publish")
    ask.patch(made, {"definition": BAD})
    found = ask.post(f"{made}/versions/1/restore", {"note": "Back"}).json()
    assert (found["version"], found["definition"], found["note"]) == (2, GOOD, "Back")


def test_restoring_what_is_released_and_newest_is_a_conflict(ask, made):
    ask.post(f"{made}/publish")
    answer = ask.post(f"{made}/versions/1/restore")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_restore")
    assert ask.get(f"{made}/versions/1").json()["note"] == ""


def test_deprecating_gives_way_to_the_release_before(ask, made):
    ask.post(f"{made}/publish")
    ask.patch(made, {"definition": chain("z")})
    ask.post(f"{made}/publish")
    answer = ask.post(f"{made}/versions/2/deprecate")
    assert (answer.status_code, answer.json()["state"]) == (200, "deprecated")
    assert ask.get(made).json()["released_version"] == 1
    assert ask.post(f"{made}/versions/1/deprecate").status_code == 200
    assert ask.get(made).json()["released_version"] is None
    assert audited()[-1] == "workflow.version_deprecated"


def test_only_a_released_version_is_deprecated(ask, made):
    answer = ask.post(f"{made}/versions/1/deprecate")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_released")
    ask.post(f"{made}/publish")
    ask.post(f"{made}/versions/1/deprecate")
    assert ask.post(f"{made}/versions/1/deprecate").status_code == 409


def test_a_change_after_deprecating_is_a_new_draft(ask, made):
    ask.post(f"{made}/publish")
    ask.post(f"{made}/versions/1/deprecate")
    assert ask.patch(made, {"definition": chain("z")}).json()["version"] == 2


def test_deleting_is_soft_and_can_be_undone(ask, made):
    assert ask.delete(made).status_code == 204
    assert ask.get(made).status_code == 404
    assert ask.get(URL).json()["count"] == 0
    for route in ("publish", "validate"):
        assert ask.post(f"{made}/{route}").status_code == 404
    assert ask.post(f"{made}/restore").status_code == 200
    assert ask.get(made).json()["definition"] == GOOD
    assert audited()[-2:] == ["workflow.trashed", "workflow.restored"]


def test_deleting_for_good_takes_the_versions_along(ask, made):
    ask.post(f"{made}/publish")
    assert ask.delete(f"{made}?hard=true").status_code == 204
    assert not Workflow.objects.exists()
    assert not WorkflowVersion.objects.exists()


@pytest.mark.parametrize("hard", ["", "?hard=true"])
def test_what_another_workflow_starts_is_in_use(ask, body, made, hard):
    inner = graph(step("w", "workflow", workflow="pack-list"))
    calling = graph(step("m", "map", body=inner))
    caller = {**body, "slug": "caller", "name": "Caller", "definition": calling}
    other = f"{URL}/{ask.post(URL, caller).json()['id']}"
    answer = ask.delete(f"{made}{hard}")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert answer.json()["used_by"] == ["the workflow Caller"]
    ask.delete(other)
    assert ask.delete(f"{made}{hard}").status_code == 204


def test_runs_forbid_deleting_for_good_only(ask, make_workflow, make_run):
    workflow = make_workflow()
    make_run(workflow=workflow)
    url = f"{URL}/{workflow.pk}"
    answer = ask.delete(f"{url}?hard=true")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert ask.delete(url).status_code == 204


def test_a_released_caller_counts_although_its_draft_calls_no_more(ask, body, made):
    calling = graph(step("w", "workflow", workflow="pack-list"))
    caller = {**body, "slug": "caller", "name": "Caller", "definition": calling}
    ask.post(f"{made}/publish")
    other = f"{URL}/{ask.post(URL, caller).json()['id']}"
    assert ask.post(f"{other}/publish").status_code == 201
    ask.patch(other, {"definition": chain("a")})
    assert ask.delete(made).status_code == 409
    ask.post(f"{other}/publish")
    assert ask.delete(made).status_code == 204


def test_the_list_is_filtered_searched_and_ordered(ask, make_workflow):
    make_workflow(slug="a", name="Alpha", tags=["x", "y"])
    make_workflow(slug="b", name="Beta", tags=["x"], status="inactive")
    make_workflow(slug="c", name="Gamma", released=False)

    def names(query):
        return [row["name"] for row in ask.get(f"{URL}?ordering=name&{query}").json()["results"]]

    assert names("") == ["Alpha", "Beta", "Gamma"]
    assert names("status=inactive&status=deprecated") == ["Beta"]
    assert names("tag=x&tag=y") == ["Alpha"]
    assert names("search=amm") == ["Gamma"]
    assert names("project=00000000-0000-0000-0000-000000000000") == []
    assert names("created_before=2001-01-01T00:00:00Z") == []
    assert ask.get(f"{URL}?ordering=-name").json()["results"][0]["name"] == "Gamma"
    assert ask.get(f"{URL}?status=pigeon").status_code == 422
    assert "definition" not in ask.get(URL).json()["results"][0]


def test_a_list_costs_the_same_few_queries_whatever_its_length(
    ask, make_workflow, django_assert_max_num_queries
):
    for number in range(12):
        make_workflow(slug=f"w{number}")
    with django_assert_max_num_queries(4):
        assert len(ask.get(URL).json()["results"]) == 12


def test_the_versions_of_one_workflow_cost_few_queries(ask, made, django_assert_max_num_queries):
    for number in range(5):
        ask.patch(made, {"definition": chain(f"n{number}")})
        ask.post(f"{made}/publish")
    with django_assert_max_num_queries(5):
        assert len(ask.get(f"{made}/versions").json()["results"]) == 5


def test_routes_take_a_trailing_slash(ask, made):
    for path in (f"{URL}/", f"{made}/", f"{made}/versions/", f"{made}/versions/1/"):
        assert ask.get(path).status_code == 200
    assert ask.post(f"{made}/validate/").status_code == 200


@pytest.mark.parametrize("path", ["x", "x/versions", "x/versions/1", "x/versions/1/diff"])
def test_a_malformed_id_is_absent(ask, path):
    assert ask.get(f"{URL}/{path}").status_code == 404


@pytest.mark.parametrize(
    "route",
    ["GET ", "PATCH ", "DELETE ", "POST /publish", "POST /validate", "GET /versions",
     "GET /versions/1", "POST /versions/1/restore", "POST /versions/1/deprecate"],
)  # fmt: skip
def test_a_stranger_sees_nothing(api, bo, made, route):
    stranger, (method, path) = api(bo), route.split(" ")
    assert stranger.get(URL).json()["count"] == 0
    assert getattr(stranger, method.lower())(f"{made}{path}").status_code == 404

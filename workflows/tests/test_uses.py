"""What is in use cannot be deleted: links from workflows and agents to what they call."""

import threading

import pytest
from django.db import connection, transaction
from django.db.models import RestrictedError
from django.test import Client

from agents.models import Agent, AgentTool
from controlplane.kit.errors import DomainError
from projects.services import create_project
from tests.support.cast import MODEL, Api
from tests.support.cast import make_user as new_user
from tools.models import Tool
from tools.services import create_tool
from workflows import services
from workflows.models import Workflow, WorkflowUse
from workflows.tests.definitions import graph, step


@pytest.fixture
def noop(make_tool):
    return make_tool(slug="noop", config={"function": "noop"})


def calls_tool(slug="noop"):
    return graph(step("a", "tool", tool=slug))


def create(project, definition, slug="w"):
    return services.create_workflow(
        project=project, actor=None, slug=slug, name=slug.upper(), definition=definition
    )


def refusal(answer):
    assert answer.status_code == 409, answer.content
    assert answer.json()["code"] == "in_use"
    return answer.json()["used_by"]


def links():
    return sorted(
        (str(link), link.is_released) for link in WorkflowUse.objects.select_related("workflow")
    )


def test_a_draft_forbids_deleting_for_good_only(api, ana, project, noop):
    create(project, calls_tool())
    path = f"/tools/{noop.pk}"
    assert refusal(api(ana).delete(f"{path}?hard=true")) == ["the workflow W"]
    assert api(ana).delete(path).status_code == 204


def test_a_released_version_forbids_the_trash_too(api, ana, project, noop):
    services.publish(create(project, calls_tool()), actor=None)
    path = f"/tools/{noop.pk}"
    assert refusal(api(ana).delete(path)) == ["the workflow W"]
    assert refusal(api(ana).delete(f"{path}?hard=true")) == ["the workflow W"]
    assert Tool.objects.get().deleted_at is None


def test_agents_in_use_are_kept_as_tools_are(api, ana, project, make_agent):
    agent = make_agent(slug="packer")
    workflow = create(project, graph(step("a", "agent", agent="packer")))
    path = f"/agents/{agent.pk}"
    assert refusal(api(ana).delete(f"{path}?hard=true")) == ["the workflow W"]
    services.publish(workflow, actor=None)
    assert refusal(api(ana).delete(path)) == ["the workflow W"]


def test_tools_of_bodies_count(api, ana, project, noop):
    inner = {"nodes": [step("b", "tool", tool="noop")], "edges": []}
    create(project, graph(step("m", "map", body=inner)))
    assert refusal(api(ana).delete(f"/tools/{noop.pk}?hard=true")) == ["the workflow W"]


def test_an_agents_current_version_forbids_deleting_its_tools_for_good(api, ana, project, noop):
    body = {"project": str(project.pk), "slug": "p", "name": "Packer", "kind": "model"}
    made = api(ana).post("/agents", {**body, "config": {**MODEL, "tools": ["noop"]}}).json()
    path = f"/tools/{noop.pk}"
    assert refusal(api(ana).delete(f"{path}?hard=true")) == ["the agent Packer"]
    api(ana).patch(f"/agents/{made['id']}", {"config": {**MODEL, "tools": []}})
    assert not AgentTool.objects.exists()
    assert api(ana).delete(f"{path}?hard=true").status_code == 204


def test_rolling_back_an_agent_links_its_tools_again(api, ana, project, noop):
    body = {"project": str(project.pk), "slug": "p", "name": "Packer", "kind": "model"}
    made = api(ana).post("/agents", {**body, "config": {**MODEL, "tools": ["noop"]}}).json()
    path = f"/agents/{made['id']}"
    api(ana).patch(path, {"config": {**MODEL, "tools": []}})
    assert api(ana).post(f"{path}/rollback", {"version": 1}).status_code == 200
    assert refusal(api(ana).delete(f"/tools/{noop.pk}?hard=true")) == ["the agent Packer"]


def test_links_follow_every_change_of_the_definition(project, make_tool):
    for slug in ("one", "two"):
        make_tool(slug=slug)
    workflow = create(project, calls_tool("one"))
    assert links() == [("W calls One", False)]
    services.publish(workflow, actor=None)
    assert links() == [("W calls One", True)]
    services.change(workflow, author=None, definition=calls_tool("two"))
    assert links() == [("W calls One", True), ("W calls Two", False)]
    services.publish(workflow, actor=None)
    assert links() == [("W calls Two", True)]
    services.restore_version(workflow, 1, actor=None)
    assert links() == [("W calls One", False), ("W calls Two", True)]
    services.deprecate(workflow.versions.get(number=2), actor=None)
    assert links() == [("W calls One", True)]


def test_a_refused_release_changes_no_link(project, noop):
    workflow = create(project, calls_tool())
    services.change(workflow, author=None, definition=calls_tool("nothing"))
    with pytest.raises(DomainError):
        services.publish(workflow, actor=None)
    assert links() == []


def test_a_workflow_that_calls_itself_can_be_deleted(api, ana, project):
    workflow = create(project, graph(step("a", "workflow", workflow="w")))
    assert api(ana).delete(f"/workflows/{workflow.pk}?hard=true").status_code == 204


def test_what_only_the_trash_uses_is_free(api, ana, project, noop):
    workflow = create(project, calls_tool())
    services.publish(workflow, actor=None)
    assert api(ana).delete(f"/workflows/{workflow.pk}").status_code == 204
    assert api(ana).delete(f"/tools/{noop.pk}?hard=true").status_code == 204
    assert api(ana).post(f"/workflows/{workflow.pk}/restore").status_code == 200
    assert links() == []


def test_tools_of_other_projects_of_that_slug_are_not_meant(project, noop):
    elsewhere = create_project(actor=new_user("Cy"), name="Other")
    create(elsewhere, calls_tool())
    assert links() == []


def test_the_database_keeps_what_is_in_use_as_well(project, noop):
    create(project, calls_tool())
    with pytest.raises(RestrictedError):
        noop.delete()


def test_a_project_goes_with_all_that_hangs_together_in_it(project, noop, make_agent):
    services.publish(create(project, calls_tool()), actor=None)
    project.delete()
    assert not Workflow.objects.exists()
    assert not Agent.objects.exists()


def test_the_dialog_tells_what_forbids_it(ana, project, noop):
    workflow = create(project, calls_tool())
    web = Client()
    web.force_login(ana)
    html = web.get(f"/tools/{noop.pk}/delete/").content.decode()
    assert "the workflow W" in html
    assert "Delete for good" not in html
    services.publish(workflow, actor=None)
    html = web.get(f"/tools/{noop.pk}/delete/").content.decode()
    assert "cannot be deleted while something uses it" in html


@pytest.mark.django_db(transaction=True)
def test_a_tool_is_not_deleted_while_a_draft_takes_it_up(project, noop, ana):
    """The draft is written and not yet committed when somebody deletes the tool for good."""
    found = []

    def delete():
        found.append(Api(ana).delete(f"/tools/{noop.pk}?hard=true"))
        connection.close()

    with transaction.atomic():
        create(project, calls_tool())
        other = threading.Thread(target=delete)
        other.start()
        other.join(0.5)
        assert not found
    other.join(10)
    assert refusal(found[0]) == ["the workflow W"]


@pytest.mark.django_db(transaction=True)
def test_a_release_waits_for_a_tool_that_is_being_deleted_and_is_refused(project, noop):
    workflow = create(project, calls_tool())
    found = []

    def publish():
        try:
            services.publish(workflow, actor=None)
        except DomainError as error:
            found.append(error.code)
        connection.close()

    with transaction.atomic():
        Tool.objects.filter(pk=noop.pk).update(deleted_at="2026-01-01T00:00:00Z")
        other = threading.Thread(target=publish)
        other.start()
        other.join(0.5)
        assert not found
    other.join(10)
    assert found == ["invalid_definition"]


def test_making_a_tool_of_a_name_a_draft_waits_for(api, ana, project):
    workflow = create(project, calls_tool("late"))
    assert links() == []
    tool = create_tool(
        project=project, actor=None, slug="late", name="Late", kind="python",
        config={"function": "noop"},
    )  # fmt: skip
    services.publish(workflow, actor=None)
    assert refusal(api(ana).delete(f"/tools/{tool.pk}")) == ["the workflow W"]

"""The verbs of workflows below the API: races, unchanging releases, uses."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from controlplane.kit.errors import DomainError
from workflows import services
from workflows.graph import compile_cached
from workflows.models import Workflow, WorkflowVersion
from workflows.tests.definitions import chain, graph, step


def create(project, **fields):
    given = {"slug": "w", "name": "W", "definition": chain("a"), **fields}
    return services.create_workflow(project=project, actor=None, **given)


def test_a_workflow_made_by_the_system(project):
    workflow = create(project, tags=["demo"], description="d")
    assert (workflow.head.number, workflow.head.state, workflow.released) == (1, "draft", None)
    assert workflow.head.created_by_name == "system"


def test_a_definition_that_is_none_is_refused_before_anything_is_saved(project):
    for definition in (None, [], {"x": float("nan")}, {"x": object()}):
        with pytest.raises(DomainError) as caught:
            create(project, definition=definition)
        assert caught.value.status == 422
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"definition": {}}, {"sha256": "0" * 64}, {"number": 7}, {"state": "draft"}],
)
def test_the_database_refuses_to_change_a_released_version(project, change):
    workflow = create(project)
    version = services.publish(workflow, actor=None)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        WorkflowVersion.objects.filter(pk=version.pk).update(**change)


def test_a_released_version_may_be_deprecated_and_drawn_anew(project):
    version = services.publish(create(project), actor=None)
    rows = WorkflowVersion.objects.filter(pk=version.pk)
    assert rows.update(layout={"a": {"x": 1, "y": 1}}, note="n") == 1
    assert rows.update(state="deprecated") == 1


def test_publishing_leaves_the_callers_row_as_the_stored_one(project):
    workflow = create(project)
    services.publish(workflow, actor=None)
    stored = Workflow.objects.get(pk=workflow.pk)
    assert (workflow.released_id, workflow.head_id) == (stored.released_id, stored.head_id)


def test_what_a_version_uses_is_kept(project):
    inner = graph(step("k", "agent"), step("j", "tool", tool="noop"))
    definition = graph(
        step("a", "tool", tool="weather"), step("b", "tool", tool="weather"),
        step("m", "map", body=inner), step("w", "workflow", workflow="other"),
    )  # fmt: skip
    version = create(project, definition=definition).head
    assert version.uses == ["agent:packer", "tool:noop", "tool:weather", "workflow:other"]


def test_a_cycle_over_stored_workflows_is_a_fault(project):
    first = create(project, slug="one", definition=graph(step("a", "workflow", workflow="two")))
    create(project, slug="two", definition=graph(step("a", "workflow", workflow="one")))
    [fault] = services.faults_of(first, first.head.definition)
    assert fault.message == "A cycle of workflows: one → two → one."


def test_the_input_of_a_stored_workflow_is_checked(project):
    schema = {"type": "object", "required": ["city"]}
    create(project, slug="two", definition={**chain("a"), "input_schema": schema})
    first = create(project, slug="one", definition=graph(step("a", "workflow", workflow="two")))
    [fault] = services.faults_of(first, first.head.definition)
    assert (fault.field, fault.code) == ("input.city", "required")


def test_what_was_published_compiles(project):
    version = services.publish(create(project, definition=chain("a", "b")), actor=None)
    assert compile_cached(version.pk, lambda: version.definition).order == ("a", "b")


def test_a_slug_is_taken_once(project):
    create(project)
    with pytest.raises(ValidationError, match="a workflow of that slug"):
        create(project)


@pytest.mark.django_db(transaction=True)
def test_many_publish_at_once_and_one_release_comes_of_it(project):
    workflow = create(project)
    outcomes = []

    def work():
        try:
            services.publish(Workflow.objects.get(pk=workflow.pk), actor=None)
            outcomes.append("released")
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["nothing_to_publish"] * 7 + ["released"]
    assert WorkflowVersion.objects.filter(workflow=workflow, state="released").count() == 1

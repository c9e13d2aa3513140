"""The verbs of workflows: making them, saving drafts, releasing versions."""

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from controlplane.kit import audit, storable
from controlplane.kit.errors import FieldProblem, InvalidInput, InvalidTransition
from controlplane.kit.expressions import ExpressionError, compile_expression
from projects.models import Project
from projects.people import User
from workflows.catalogue import ProjectCatalogue
from workflows.graph import MAX_NODES, Fault, check, definition_sha256
from workflows.graph.check import count_nodes
from workflows.graph.layout import split_layout, uses_of
from workflows.models import Workflow, WorkflowVersion
from workflows.uses import relink

LARGEST_DEFINITION_BYTES = 4 * 1024 * 1024
State = WorkflowVersion.State


def storable_definition(definition: Any) -> dict[str, Any]:
    """A definition that can be kept as a draft. It may have faults, for it is being worked on; what
    is no object, cannot be stored or is beyond the limits is InvalidInput."""
    if not isinstance(definition, dict):
        raise InvalidInput.of("definition", "A definition is an object with nodes and edges.")
    if fault := storable.problem(definition, LARGEST_DEFINITION_BYTES):
        raise InvalidInput.of("definition", f"The definition cannot be stored: {fault}")
    if count_nodes(definition) > MAX_NODES:
        message = f"A graph has at most {MAX_NODES:,} steps, those of bodies included."
        raise InvalidInput.of("definition", message, "too_many_nodes")
    return definition


def concurrency_key(text: str) -> str:
    """An expression over the input by which runs are counted together; empty for none."""
    if text:
        try:
            names = compile_expression(text).names
        except ExpressionError as error:
            raise InvalidInput.of("concurrency_key", error.message, error.code) from None
        if names - {"input"}:
            message = "The key is an expression over input."
            raise InvalidInput.of("concurrency_key", message, "unknown_name")
    return text


def faults_of(workflow: Workflow, definition: Any) -> list[Fault]:
    """What is wrong with a definition in the workflow's project."""
    return check(definition, ProjectCatalogue(workflow.project_id), workflow.slug)


def refuse_faults(faults: list[Fault]) -> None:
    """422 `invalid_definition` with the faults, where there are any."""
    if faults:
        errors = [
            FieldProblem(f"{f.node}.{f.field}".strip(".") if f.node else f.field, f.code, f.message)
            for f in faults
        ]
        raise InvalidInput(
            f"The definition has {len(faults)} fault{'s' if len(faults) > 1 else ''}.",
            code="invalid_definition",
            errors=errors,
            extra={"faults": [f.as_dict() for f in faults]},
        )


@transaction.atomic
def create_workflow(
    *, project: Project, actor: User | None, definition: Any, **fields: Any
) -> Workflow:
    """A new workflow with draft version 1, audited."""
    storable_definition(definition)
    workflow = insert(project=project, author=actor, definition=definition, **fields)
    audit.record("workflow.created", actor=actor, project_id=project.pk, target=workflow,
                 after={"name": workflow.name, "version": 1})  # fmt: skip
    return workflow


@transaction.atomic
def insert(*, author: User | None, definition: dict[str, Any], **fields: Any) -> Workflow:
    """A new workflow with draft version 1 from checked fields; the caller writes the audit row."""
    workflow = Workflow(**fields)
    workflow.full_clean()
    workflow.save(force_insert=True)
    workflow.head = _version(workflow, 1, _parts(definition), author)
    workflow.save(update_fields=["head"])
    relink(workflow)
    return workflow


@transaction.atomic
def change(workflow: Workflow, *, author: User | None, **fields: Any) -> Workflow:
    """Change a workflow from checked fields. Another definition goes into the draft; a released
    head stays as it is and the next draft is made. The caller holds the row's lock."""
    definition = fields.pop("definition", None)
    for name, value in fields.items():
        setattr(workflow, name, value)
    if definition is not None:
        save_draft(workflow, definition, author=author)
    workflow.save()
    relink(workflow)
    return workflow


def save_draft(
    workflow: Workflow, definition: dict[str, Any], *, author: User | None
) -> WorkflowVersion:
    """Put a definition into the draft, which is made where the head is released. Drawing a
    released head anew makes none: only its layout changes. Gives the head there is then; the
    caller saves the workflow."""
    parts, head = _parts(definition), workflow.head
    if head is None or (head.state != State.DRAFT and head.sha256 != parts["sha256"]):
        last = workflow.versions.aggregate(last=Max("number"))["last"] or 0
        workflow.head = made = _version(workflow, last + 1, parts, author)
        return made
    if head.state != State.DRAFT:
        parts = {"layout": parts["layout"]}
    for name, value in parts.items():
        setattr(head, name, value)
    head.save(update_fields=[*parts, "updated_at"])
    return head


def _parts(definition: dict[str, Any]) -> dict[str, Any]:
    logic, layout = split_layout(definition)
    return {
        "definition": logic,
        "layout": layout,
        "uses": uses_of(logic),
        "sha256": definition_sha256(definition),
    }


def _version(
    workflow: Workflow, number: int, parts: dict[str, Any], author: User | None
) -> WorkflowVersion:
    return WorkflowVersion.objects.create(
        workflow=workflow,
        number=number,
        created_by_name=str(author)[:120] if author else "system",
        **parts,
    )


@transaction.atomic
def publish(workflow: Workflow, *, actor: Any, note: str = "") -> WorkflowVersion:
    """Release the draft: from now on runs use it, and it never changes. 422 with the faults where
    it has some, 409 `nothing_to_publish` where there is no draft."""
    row = Workflow.objects.select_for_update(of=("self",)).get(pk=workflow.pk)
    draft = row.head
    if draft is None or draft.state != State.DRAFT:
        raise InvalidTransition("There is no draft to publish.", code="nothing_to_publish")
    row.released = draft
    # Before the check: from here on nothing that is called can be deleted.
    relink(row)
    refuse_faults(faults_of(row, draft.drawn))
    draft.state, draft.released_at = State.RELEASED, timezone.now()
    draft.note = note or draft.note
    draft.save(update_fields=["state", "released_at", "note", "updated_at"])
    row.save(update_fields=["released", "updated_at"])
    workflow.head = workflow.released = draft
    audit.record("workflow.published", actor=actor, project_id=row.project_id, target=row,
                 after={"version": draft.number, "note": draft.note})  # fmt: skip
    return draft


@transaction.atomic
def restore_version(
    workflow: Workflow, number: int, *, actor: Any, note: str = ""
) -> WorkflowVersion:
    """Take an older definition up again as the draft. 422 where there is no such version, 409
    `nothing_to_restore` where the newest version, released, says the same."""
    row = Workflow.objects.select_for_update(of=("self",)).get(pk=workflow.pk)
    old = row.versions.filter(number=number).first()
    if old is None:
        raise InvalidInput.of("version", f"There is no version {number}.", "does_not_exist")
    if row.head and row.head.state != State.DRAFT and row.head.sha256 == old.sha256:
        message = f"Version {row.head.number} says the same as version {number}."
        raise InvalidTransition(message, code="nothing_to_restore")
    draft = save_draft(row, old.drawn, author=actor)
    draft.note = note or f"Restored from version {number}"
    draft.save(update_fields=["note"])
    row.save(update_fields=["head", "updated_at"])
    relink(row)
    audit.record("workflow.version_restored", actor=actor, project_id=row.project_id, target=row,
                 after={"from": number, "version": draft.number})  # fmt: skip
    return draft


@transaction.atomic
def deprecate(version: WorkflowVersion, *, actor: Any) -> WorkflowVersion:
    """A released version that new runs should not use; the newest other released one takes over."""
    row = Workflow.objects.select_for_update(of=("self",)).get(pk=version.workflow_id)
    version = row.versions.select_for_update().get(pk=version.pk)
    if version.state != State.RELEASED:
        raise InvalidTransition("Only a released version can be deprecated.", code="not_released")
    version.state = State.DEPRECATED
    version.save(update_fields=["state", "updated_at"])
    row.released = row.versions.filter(state=State.RELEASED).order_by("-number").first()
    row.save(update_fields=["released", "updated_at"])
    relink(row)
    audit.record("workflow.version_deprecated", actor=actor, project_id=row.project_id,
                 target=row, after={"version": version.number})  # fmt: skip
    return version

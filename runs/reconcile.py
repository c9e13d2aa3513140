"""A person's word on a call that may or may not have happened: done, to be made again, or undone.

The call's effect is `unknown`, and its step waits with the reason `reconcile` (or has ended, where
the run was stopped in mid-call; then the word counts for a retry).
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from controlplane.kit import audit, schemas, storable
from controlplane.kit.errors import DomainError, InvalidInput, InvalidTransition
from controlplane.kit.ids import uuid7
from governance.recorder import actor_facts
from runs import undoing as undoings
from runs.lifecycle import Ledger
from runs.models import Effect, Run, Step
from runs.rows import LockedRun
from runs.services import change, start
from runs.starting import StartRequest
from runs.states import StepStatus
from runs.work import MAX_OUTPUT_BYTES
from tools.models import ToolVersion
from workflows.models import Workflow

LONGEST_COMMENT = 2_000
ABSENT = object()
# Steps that wait for a word on a call: of a person, or of the tool's check.
ASKING = ("reconcile", "checking")


@dataclass(slots=True)
class Compensation:
    """A workflow whose run undoes what the call did."""

    workflow: Workflow
    input: Any


@dataclass(slots=True)
class Word:
    """What a person says of a call. `output` is the call's result where it is `done`; `new_key`
    makes it again under another idempotency key. What is to be compensated is undone by the run
    of `compensation`, else by the tool that the call's tool names, or was undone `by_hand`."""

    action: str
    output: Any = ABSENT
    comment: str = ""
    new_key: bool = False
    compensation: Compensation | None = None
    by_hand: bool = False


def resolve(effect: Effect, word: Word, *, actor: Any) -> Effect:
    """Take a person's word on a call in doubt, and let its step go on by it. 409
    `already_resolved` where it is not in doubt any more, `undo_failed` where the tool that was to
    undo it did not (the call stays in doubt); 422 where the output does not fit the tool's schema.
    An undoing call is made in between two commits: not to be called inside a transaction."""
    _check(effect, word)
    undoing, undone = None, None
    if is_undone_by_tool(effect, word):
        undoing = undoings.begin(effect, actor=actor)
        undone = undoings.make(undoing)

    def verb(ledger: Ledger, locked: LockedRun) -> set[str]:
        row = Effect.objects.select_for_update(of=("self",)).get(pk=effect.pk)
        if not row.is_open:
            raise InvalidTransition("This call is not in doubt any more.", code="already_resolved")
        if undoing is not None and undone is not None:
            undoings.finish(ledger, locked, undoing, undone)
        else:
            undoings.refuse_under_way(row)
        undoings.close(row)
        step = Step.objects.only("id", "node", "status", "reason").get(pk=row.step_id)
        waits = step.status == StepStatus.WAITING and step.reason in ASKING
        if word.action == Effect.Resolution.REDO and not waits:
            raise InvalidTransition(
                "Its step has ended, so the call cannot be made again here; say what became of it "
                "and retry the run.",
                code="step_ended",
            )
        _write(row, word, actor, _undone_by(effect.run, word, actor))
        after = {
            "action": word.action,
            "tool": row.tool_name,
            "step": step.node,
            "comment": word.comment,
            **({"compensation_run": str(row.compensation_run_id)}
               if row.compensation_run_id else {}),
            **({"undone_by": undoing.tool.slug} if undoing is not None else {}),
        }  # fmt: skip
        ledger.event(locked, "effect.resolved", step.pk, {"node": step.node, **after})
        audit.record(
            "run.reconciled",
            actor=actor,
            project_id=locked.project_id,
            target=effect.run,
            before={"effect": str(row.pk), "state": "unknown", "arguments": row.arguments},
            after=after,
        )
        # With several calls in doubt the step waits for a word on each.
        if not waits or Effect.objects.unknown().filter(step_id=step.pk).exists():
            return set()
        return ledger.resume_steps(locked, [step.pk], {})

    change(effect.run_id, verb)
    return Effect.objects.select_related("run", "step").get(pk=effect.pk)


def is_undone_by_tool(effect: Effect, word: Word) -> bool:
    """Whether this word means a call of the tool that undoes."""
    is_meant = word.action == Effect.Resolution.COMPENSATE and not word.by_hand
    return is_meant and word.compensation is None and undoings.named(effect) is not None


def _check(effect: Effect, word: Word) -> None:
    if word.action not in Effect.Resolution.values:
        raise InvalidInput.of("action", "Say done, redo or compensate.")
    if len(word.comment) > LONGEST_COMMENT:
        raise InvalidInput.of("comment", f"At most {LONGEST_COMMENT} characters.")
    if word.output is not ABSENT and word.action != Effect.Resolution.DONE:
        raise InvalidInput.of("output", "An output belongs to a call that is done.")
    if word.compensation is not None and word.action != Effect.Resolution.COMPENSATE:
        raise InvalidInput.of("compensation", "Only what is compensated is undone by a run.")
    if word.by_hand and (
        word.action != Effect.Resolution.COMPENSATE or word.compensation is not None
    ):
        raise InvalidInput.of("by_hand", "Only what is undone by nobody else is undone by hand.")
    if word.new_key and word.action != Effect.Resolution.REDO:
        raise InvalidInput.of("new_key", "Only a call that is made again takes a new key.")
    if word.action == Effect.Resolution.DONE:
        _check_output(effect, None if word.output is ABSENT else word.output)


def _check_output(effect: Effect, output: Any) -> None:
    if (fault := storable.problem(output, MAX_OUTPUT_BYTES)) is not None:
        raise InvalidInput.of("output", f"The output cannot be stored: {fault}")
    schema = output_schema(effect)
    if schema is not None and (faults := schemas.faults(schema, output, "output")):
        raise InvalidInput(faults[0].message, errors=faults)


def output_schema(effect: Effect) -> Any:
    """What the tool's version pinned by the run promises to answer; None where it promises
    nothing."""
    pinned = effect.run.pins.get("tools", {}).get(effect.tool_name)
    version_id: UUID | None = pinned and UUID(pinned["version"])
    version = ToolVersion.objects.filter(pk=version_id).only("output_schema").first()
    return version.output_schema if version is not None else None


def _undone_by(run: Run, word: Word, actor: Any) -> Run | None:
    """The run that undoes the call, started in the same transaction."""
    if word.compensation is None:
        return None
    if word.compensation.workflow.project_id != run.project_id:
        raise InvalidInput.of("compensation.workflow", "It is of another project.")
    request = StartRequest(
        workflow=word.compensation.workflow,
        environment=run.environment,
        input=word.compensation.input,
        tags=["compensation"],
        simulated=run.simulated,
    )
    try:
        return start(request, actor=actor)[0]
    except InvalidInput as exc:
        faults = [replace(fault, field=f"compensation.{fault.field}") for fault in exc.errors]
        raise InvalidInput(exc.message, code=exc.code, errors=faults) from None
    except DomainError as exc:
        message = f"The compensating run may not start: {exc.message}"
        raise DomainError(message, code=exc.code, status=exc.status) from None


def _write(row: Effect, word: Word, actor: Any, undone_by: Run | None) -> None:
    who = actor_facts(actor)
    row.state = Effect.State.RESOLVED
    row.resolution = word.action
    row.comment = word.comment
    row.resolved_at = timezone.now()
    row.resolved_by = {
        "type": who["type"],
        "id": str(who["id"]) if who["id"] else None,
        "name": str(who["name"]),
    }
    if word.action == Effect.Resolution.DONE:
        row.result = None if word.output is ABSENT else word.output
    row.next_key = str(uuid7()) if word.new_key else ""
    row.compensation_run_id = undone_by.pk if undone_by is not None else None
    row.save(
        update_fields=[
            "state", "resolution", "comment", "resolved_at", "resolved_by", "result", "next_key",
            "compensation_run_id",
        ]
    )  # fmt: skip

"""Undoing a call in doubt by the tool that its tool names: a call of its own, declared, keyed and
gated, made at a person's word while they wait.

What came of it is kept as an effect that names the one it undoes. Where it fails, or nobody knows
whether it happened, the call in doubt stays in the inbox.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from django.utils import timezone

from controlplane.kit import audit, gate
from controlplane.kit.errors import DomainError, InvalidTransition
from controlplane.kit.expressions import ExpressionError
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from runs.calls import EFFECT_NAMESPACE
from runs.lifecycle import Ledger
from runs.models import Effect, Run, Step
from runs.rows import LockedRun
from runs.services import change, refuse_frozen_run
from tools import recovery
from tools.callables import callable_of
from tools.calling import prepare
from tools.calls import Result, ToolCallable, ToolError
from tools.models import Tool, ToolCall
from tools.services import LONGEST_TEST_SECONDS, call_now

# Undoings follow the calls of their step.
FIRST_ORDINAL = 1_000_000_000
# An intent older than this is of a process that died; its key is used again.
UNDER_WAY = timedelta(seconds=LONGEST_TEST_SECONDS + 30)


@dataclass(slots=True)
class Undoing:
    """A call that undoes another: what is called with what, and its row."""

    effect: Effect
    tool: ToolCallable
    arguments: dict[str, Any]
    row_id: UUID
    key: str


def named(effect: Effect) -> dict[str, Any] | None:
    """{tool, arguments}: what the tool of a call names to undo it; None where it names nothing."""
    tool = Tool.objects.filter(pk=effect.tool_id).only("effect_undo").first()
    return tool.effect_undo if tool is not None else None


def refuse_under_way(effect: Effect) -> None:
    """409 `undo_under_way` while the call is being undone."""
    if _intents(effect).filter(created_at__gt=timezone.now() - UNDER_WAY).exists():
        raise InvalidTransition("This call is being undone just now.", code="undo_under_way")


def _intents(effect: Effect) -> Any:
    return Effect.objects.filter(
        step_id=effect.step_id, undoes=effect.pk, state=Effect.State.INTENT
    )


def begin(effect: Effect, *, actor: Any) -> Undoing:
    """Declare the undoing. 409 where the call is not in doubt any more, is being undone, or the
    tool that undoes it may not be called; what the tool refuses is said as `undo_failed`."""
    run = effect.run
    refuse_frozen_run(run)
    undoing = _prepared(effect)
    _ask_gate(undoing, run, actor)

    def verb(ledger: Ledger, locked: LockedRun) -> None:
        row = Effect.objects.select_for_update(of=("self",)).get(pk=effect.pk)
        if not row.is_open:
            raise InvalidTransition("This call is not in doubt any more.", code="already_resolved")
        refuse_under_way(row)
        _intents(row).update(state=Effect.State.UNKNOWN)
        made_before = Effect.objects.filter(step_id=row.step_id, ordinal__gte=FIRST_ORDINAL)
        Effect.objects.create(
            id=undoing.row_id,
            run_id=run.pk,
            step_id=row.step_id,
            ordinal=FIRST_ORDINAL + made_before.count(),
            key=undoing.key,
            tool_id=undoing.tool.tool_id,
            tool_name=undoing.tool.slug,
            effect_class=undoing.tool.effect_class,
            args_sha256=_sha256(undoing.arguments),
            arguments=undoing.arguments,
            undoes=row.pk,
        )
        about = {"tool": row.tool_name, "by": undoing.tool.slug}
        ledger.event(locked, "effect.undoing", row.step_id, about)
        audit.record(
            "run.undoing",
            actor=actor,
            project_id=locked.project_id,
            target=run,
            after={**about, "effect": str(row.pk), "arguments": undoing.arguments},
        )

    change(run.pk, verb)
    return undoing


def _prepared(effect: Effect) -> Undoing:
    undo = named(effect)
    tool = undo and recovery.other(effect.run.project_id, undo["tool"])
    if undo is None or tool is None or tool.current is None:
        slug = undo["tool"] if undo else effect.tool_name
        raise DomainError(f"There is no tool {slug} any more.", code="tool_missing")
    tool.current.tool = tool
    called = callable_of(tool.current)
    try:
        arguments = recovery.arguments_of(undo, effect.arguments or {}, effect.key)
        prepare(called, arguments)
    except (ToolError, ExpressionError) as exc:
        raise _failed(called, exc.message) from None
    # The same for every try, so that a second one does no more than the first.
    key = str(uuid5(EFFECT_NAMESPACE, f"undo:{effect.pk}"))
    return Undoing(effect, called, arguments, uuid7(), key)


def _ask_gate(undoing: Undoing, run: Run, actor: Any) -> None:
    verdict = gate.check(
        "tool.call",
        {
            "project_id": run.project_id,
            "environment": run.environment.name,
            "workflow": run.workflow.slug,
            "run_id": run.pk,
            "step_id": undoing.effect.step_id,
            "actor": actor,
            "tool": undoing.tool.facts(),
            "arguments": undoing.arguments,
        },
    )
    if not verdict.is_allowed:
        code = "approval_required" if verdict.outcome == "require_approval" else "policy_denied"
        message = verdict.reason or "A policy does not allow the call that undoes it."
        raise DomainError(message, code=verdict.code or code)


def make(undoing: Undoing) -> Result:
    """Make the call; no lock and no connection is held meanwhile. Where it fails that is kept,
    and 409 `undo_failed` says so."""
    try:
        return call_now(undoing.tool, undoing.arguments, idempotency_key=undoing.key)
    except ToolError as exc:
        is_unknown = exc.fate == "unknown" and undoing.tool.effect_class != "read"
        _keep_failure(undoing, exc, is_unknown)
        said = f"{exc.message} Nobody knows whether it was undone." if is_unknown else exc.message
        raise _failed(undoing.tool, said) from exc


def _failed(tool: ToolCallable, why: str) -> DomainError:
    message = f"{tool.name} could not undo it: {why} The call stays in doubt."
    return DomainError(message, code="undo_failed")


def _keep_failure(undoing: Undoing, exc: ToolError, is_unknown: bool) -> None:
    state = Effect.State.UNKNOWN if is_unknown else Effect.State.FAILED
    error = {"code": exc.code, "message": exc.message}

    def verb(ledger: Ledger, locked: LockedRun) -> None:
        Effect.objects.filter(pk=undoing.row_id, state=Effect.State.INTENT).update(
            state=state, result={"error": error}, done_at=timezone.now()
        )
        _record(ledger, locked, undoing, "failed", exc.latency_ms or 0, exc.code)

    change(undoing.effect.run_id, verb)


def finish(ledger: Ledger, locked: LockedRun, undoing: Undoing, result: Result) -> None:
    """The call was undone: written in the transaction that takes the person's word."""
    Effect.objects.filter(pk=undoing.row_id).update(
        state=Effect.State.DONE, result=result.output, done_at=timezone.now()
    )
    _record(ledger, locked, undoing, "succeeded", result.latency_ms, "")


def close(effect: Effect) -> None:
    """A person has said what became of the call: tries to undo it are in doubt no more."""
    open_ones = (Effect.State.INTENT, Effect.State.UNKNOWN)
    tries = Effect.objects.filter(step_id=effect.step_id, undoes=effect.pk, state__in=open_ones)
    tries.update(state=Effect.State.RESOLVED)


def _record(
    ledger: Ledger, locked: LockedRun, undoing: Undoing, state: str, ms: float, error: str
) -> None:
    """The row and the event of the call."""
    step = Step.objects.only("id", "node").get(pk=undoing.effect.step_id)
    ToolCall.objects.create(
        id=uuid7(),
        project_id=locked.project_id,
        tool_id=undoing.tool.tool_id,
        tool_version_id=undoing.tool.version_id,
        run_id=locked.id,
        step_id=step.pk,
        workflow_id=locked.workflow_id,
        state=state,
        error_code=error,
        latency_ms=ms,
        args_sha256=_sha256(undoing.arguments),
        idempotency_key=undoing.key,
        started_at=timezone.now() - timedelta(milliseconds=ms),
    )
    data = {
        "tool": undoing.tool.slug, "status": state, "latency_ms": ms,
        "undoes": undoing.effect.tool_name, **({"error": error} if error else {}),
    }  # fmt: skip
    ledger.event(locked, "tool.called", step.pk, data)


def _sha256(arguments: dict[str, Any]) -> str:
    return hashlib.sha256(dumps(arguments)).hexdigest()

"""Questions to people: asking, deciding, running out of time, taking back.

Lock order: approval, then run. Every verb is one transaction and locks the approval first, so a
caller must not hold a run's lock; where it must, `cancel_…(wait=False)` passes by what is being
decided at that moment.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import IntegrityError, transaction

from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.schemas import faults
from governance import approval_rules as rules
from governance.approval_ends import cancel_for_run, cancel_for_steps, expire_due, next_due
from governance.approval_rows import Clock, announce, clock, end, event_data, record
from governance.models import Approval, ApprovalDecision
from governance.signals import approval_decided
from projects.people import User

__all__ = [
    "cancel_for_run",
    "cancel_for_steps",
    "decide",
    "event_data",
    "expire_due",
    "next_due",
    "outcome",
    "request",
    "still_stands",
]

Status = Approval.Status
Action = Literal["approve", "reject"]
# Asked and answered: a request for the same action is the same question.
STANDING = (Status.PENDING, Status.APPROVED, Status.REJECTED, Status.EXPIRED)


# Asking


def request(
    *,
    project_id: UUID,
    run_id: UUID | None,
    step_id: UUID | None,
    subject: str,
    title: str,
    packet: Mapping[str, Any],
    arguments: Any,
    action_sha256: str | None = None,
    quorum: int = 1,
    due_seconds: float | None = None,
    on_timeout: str = "reject",
    assignees: Sequence[str] = (),
    requested_by_id: UUID | None = None,
    requester_may_approve: bool = True,
    key: str = "",
    shape: str = "",
    arguments_schema: Mapping[str, Any] | None = None,
    escalation: Mapping[str, Any] | None = None,
) -> Approval:
    """Ask people whether an action may happen; returns at once.

    The same question (run, step, `subject`, `key`) about the same action is asked once: its row
    comes back, pending or decided. Another action supersedes the open question. `subject` is
    step, call, run, deployment…; `key` tells several questions of one step apart; `shape` is
    common to requests of a kind (default: subject and title); `arguments_schema` is what edited
    arguments must fit. `escalation` {to: [assignees], due_seconds, on_timeout} says what follows
    when `on_timeout` is escalate. Errors: `not_storable` (422).
    """
    question = {
        "project_id": project_id,
        "run_id": run_id,
        "step_id": step_id,
        "subject": subject,
        "key": key,
    }
    shown = rules.shown(title, packet, arguments)
    sha256 = action_sha256 or rules.fingerprint(shown)
    row = Approval(
        **question,
        **shown,
        shape=(shape or rules.shape_of(subject, shown))[:200],
        action_sha256=sha256,
        shown_sha256=sha256,
        quorum=max(1, quorum),
        on_timeout=Approval.OnTimeout(on_timeout),
        assignees=rules.cleaned(assignees),
        requested_by_id=requested_by_id,
        requester_may_approve=requester_may_approve,
        arguments_schema=rules.plain(arguments_schema),
        escalation=rules.plain(escalation),
    )
    for _ in range(5):
        try:
            with transaction.atomic():
                return _ask(row, question, due_seconds)
        except IntegrityError:  # Somebody asked the same at the same time: theirs is there now.
            continue
    raise DomainError("This is being asked by others at the same time.", code="busy")


def _ask(row: Approval, question: Mapping[str, Any], due_seconds: float | None) -> Approval:
    if row.step_id or row.key:
        rows = Approval.objects.filter(**question)
        # Locked before looking for answers: one that is being decided is seen as decided.
        open_rows = list(rows.pending().select_for_update())
        same = rows.filter(action_sha256=row.action_sha256, status__in=STANDING)
        found = same.order_by("-created_at", "-id").first()
        for older in open_rows:
            if older.action_sha256 != row.action_sha256:
                _supersede(older, found or row)
        if found is not None:
            return found
    now = clock()
    row.created_at = now
    row.due_at = None if due_seconds is None else now + timedelta(seconds=due_seconds)
    row.save(force_insert=True)
    record(row, "requested", None, subject=row.subject, action_sha256=row.action_sha256)
    announce(row, "requested")
    return row


def _supersede(older: Approval, newer: Approval) -> None:
    end(older, Status.SUPERSEDED, clock())
    record(older, "superseded", None, by=str(newer.pk))
    announce(older, "cancelled")


# Deciding


def decide(
    approval: Approval,
    *,
    actor: User,
    action: Action,
    comment: str = "",
    arguments: Any = None,
    shown_sha256: str | None = None,
) -> Approval:
    """One person's word. Rejecting ends it, approving does at the quorum.

    Edited `arguments` replace what is shown: who approved the earlier ones is asked once more.
    `shown_sha256` is what the person saw; 409 `changed` where it is another by now. Sends
    `approval_decided` in the same transaction. 403 where this person may not, 409 where it was
    decided, expired or taken back, or the same person decided it before, 422 for bad input.
    """
    comment = rules.checked_comment(action, comment)
    with transaction.atomic():
        row = _locked(approval.pk)
        # Read anew: the role may have gone while the page was open or the lock was waited for.
        actor.forget_roles()
        refusal = rules.refusal(row, actor, list(row.decisions.all()), row.clock)
        if refusal is not None:
            raise refusal
        if shown_sha256 and shown_sha256 != row.shown_sha256:
            raise DomainError(
                "The arguments were edited after you saw them; look again.", code="changed"
            )
        edited = _edited(row, action, arguments)
        if edited is not None:
            row.edited_arguments = edited
            row.shown_sha256 = rules.fingerprint({"of": row.action_sha256, "arguments": edited})
        word = ApprovalDecision.objects.create(
            approval=row,
            actor=actor,
            action=action,
            comment=comment,
            arguments=edited,
            shown_sha256=row.shown_sha256,
            created_at=row.clock,
        )
        _count(row, word, actor)
    return row


def _locked(approval_id: UUID) -> Any:
    rows = Approval.objects.select_for_update().annotate(clock=Clock())
    row = rows.filter(pk=approval_id).first()
    if row is None:
        raise DomainError("The approval is gone.", code="not_found", status=404)
    return row


def _edited(row: Approval, action: Action, arguments: Any) -> Any:
    """The arguments where this word changes them, else None."""
    if arguments is None:
        return None
    if action != "approve":
        raise InvalidInput.of("arguments", "Only who approves can edit the arguments.")
    if not row.may_be_edited:
        raise InvalidInput.of("arguments", "This approval has no arguments to edit.")
    if not isinstance(arguments, dict):
        raise InvalidInput.of("arguments", "Arguments are an object.", "type")
    if found := faults(row.arguments_schema, arguments, "arguments"):
        raise InvalidInput(found[0].message, errors=found)
    rules.check_storable(arguments)
    arguments = rules.plain(arguments)
    return None if arguments == row.shown_arguments else arguments


def _count(row: Any, word: ApprovalDecision, actor: User) -> None:
    facts = {"comment": word.comment, "shown_sha256": word.shown_sha256}
    if word.arguments is not None:
        facts["arguments"] = word.arguments
    if word.action == "reject":
        end(row, Status.REJECTED, row.clock)
    else:
        votes = row.decisions.filter(action="approve", shown_sha256=row.shown_sha256).count()
        if votes < row.quorum:
            row.save(update_fields=["edited_arguments", "shown_sha256", "updated_at"])
            record(row, "voted", actor, votes=votes, quorum=row.quorum, **facts)
            announce(row, "voted", votes=votes, quorum=row.quorum)
            return
        end(row, Status.APPROVED, row.clock)
    record(row, row.status, actor, status=row.status, **facts)
    announce(row, "decided", by=actor.name or actor.email)
    approval_decided.send(sender=Approval, approval=row)


# Before what was approved is done


def still_stands(approval: Approval, action_sha256: str | None = None) -> bool:
    """Whether an approved action may be done now: it is the one that was asked for (where
    `action_sha256` is given), and enough of those who approved it may still decide."""
    approval = Approval.objects.get(pk=approval.pk)
    if approval.status != Status.APPROVED:
        return False
    if action_sha256 is not None and action_sha256 != approval.action_sha256:
        return False
    words = approval.decisions.filter(action="approve", shown_sha256=approval.shown_sha256)
    people = [word.actor for word in words.select_related("actor")]
    return sum(not rules.forbidden(approval, person) for person in people) >= approval.quorum


def outcome(approval: Approval) -> dict[str, Any]:
    """{approved, by, by_name, comment, arguments} of a decided approval, for the step's output."""
    return rules.outcome(approval, approval.decisions.select_related("actor"))

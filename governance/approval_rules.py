"""What an approval is about and who may decide it; values in, values out."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.json import dumps
from controlplane.kit.storable import problem
from governance.models import Approval, ApprovalDecision
from projects.roles import Role, outranks

DECIDE = "governance.decide_approval"
LONGEST_TITLE = 500
LONGEST_COMMENT = 4_000
MAX_BYTES = 1024 * 1024
ENDED = {
    "approved": ("already_decided", "This was approved already."),
    "rejected": ("already_decided", "This was rejected already."),
    "expired": ("expired", "The time to decide this is over."),
    "cancelled": ("cancelled", "Nobody waits for this any more."),
    "superseded": ("superseded", "What was asked has changed; a new request took its place."),
}


def plain(value: Any) -> Any:
    """The value as JSON holds it: money, ids and times as text. 422 where JSON cannot."""
    try:
        return None if value is None else orjson.loads(dumps(value))
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidInput(f"This cannot be asked: {exc}.", code="not_storable") from None


def check_storable(value: Any) -> None:
    """422 `not_storable` for what PostgreSQL and JSON cannot hold, or more than 1 MB."""
    if fault := problem(value, MAX_BYTES):
        raise InvalidInput(f"This cannot be asked: {fault}", code="not_storable")


def shown(title: str, packet: Mapping[str, Any], arguments: Any) -> dict[str, Any]:
    """{title, packet, arguments} as they are stored and shown; 422 where they cannot be."""
    text = str(title).strip() or "Approval"
    if len(text) > LONGEST_TITLE:
        text = text[: LONGEST_TITLE - 1] + "…"
    check_storable(arguments)  # What is executed: written as JSON, NaN would become null.
    facts = {"title": text, "packet": plain(packet) or {}, "arguments": plain(arguments)}
    check_storable(facts)
    return facts


def fingerprint(facts: Any) -> str:
    """SHA-256 of JSON whatever the order of its keys."""
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def shape_of(subject: str, facts: Mapping[str, Any]) -> str:
    """What requests of a kind have in common where the caller says nothing."""
    names = sorted(facts["arguments"]) if isinstance(facts["arguments"], dict) else []
    return f"{subject}:{fingerprint([facts['title'], names])[:32]}"


def cleaned(assignees: Iterable[str]) -> list[str]:
    """Names of assignees, each once: e-mail addresses, ids of users, names of roles."""
    words = (str(name).strip().lower() for name in assignees)
    return list(dict.fromkeys(word for word in words if word))


def checked_comment(action: str, comment: str) -> str:
    """The comment without blanks around it; 422 where a rejection has none, or it is too long."""
    comment = comment.strip()
    if action == "reject" and not comment:
        raise InvalidInput.of("comment", "Say why you reject this.", "required")
    if len(comment) > LONGEST_COMMENT:
        raise InvalidInput.of("comment", f"Use at most {LONGEST_COMMENT:,} characters.", "max")
    check_storable(comment)
    return comment


def is_assigned(approval: Approval, user: Any) -> bool:
    """Whether the user is among those asked: everybody, by e-mail, by id, or by role."""
    if not approval.assignees:
        return True
    if {user.email.lower(), str(user.pk)} & set(approval.assignees):
        return True
    role = user.project_roles().get(approval.project_id)
    return any(name in Role.values and outranks(role, name) for name in approval.assignees)


def forbidden(approval: Approval, user: Any) -> str:
    """Why this person may not decide it, as a sentence; empty where they may."""
    if not user.has_perm(DECIDE, approval):
        return str(user.refusal(approval))
    if not is_assigned(approval, user):
        return "Others were asked to decide this."
    if not approval.requester_may_approve and approval.requested_by_id == user.pk:
        return "You asked for this; somebody else has to decide it."
    return ""


def refusal(
    approval: Approval, user: Any, decisions: Iterable[ApprovalDecision], now: datetime
) -> DomainError | None:
    """Why this person cannot decide it now: 403 for who they are, 409 for how it stands."""
    if words := forbidden(approval, user):
        return DomainError(words, code="forbidden", status=403)
    if not approval.is_pending:
        code, words = ENDED[approval.status]
        return DomainError(words, code=code)
    waits_on = approval.on_timeout == Approval.OnTimeout.ESCALATE
    if approval.due_at is not None and approval.due_at <= now and not waits_on:
        code, words = ENDED["expired"]
        return DomainError(words, code=code)
    if any(d.actor_id == user.pk and d.shown_sha256 == approval.shown_sha256 for d in decisions):
        return DomainError("You have decided this already.", code="decided_by_you")
    return None


def escalated(approval: Approval) -> list[str]:
    """Who is asked once nobody decided in time: those named, else admins as well."""
    if not approval.assignees:
        return []
    named = (approval.escalation or {}).get("to") or [Role.ADMIN.value]
    return cleaned([*approval.assignees, *named])


def outcome(approval: Approval, decisions: Iterable[ApprovalDecision]) -> dict[str, Any]:
    """What a step hands on: {approved, by, by_name, comment, arguments}; `by` is null where
    nobody decided, arguments are those that were approved."""
    last = None if approval.status == Approval.Status.EXPIRED else max(
        decisions, key=lambda d: (d.created_at, d.pk), default=None
    )  # fmt: skip
    return {
        "approved": approval.status == Approval.Status.APPROVED,
        "by": str(last.actor_id) if last else None,
        "by_name": (last.actor.name or last.actor.email) if last else None,
        "comment": last.comment if last else "",
        "arguments": approval.shown_arguments,
    }

"""What apps further left ask people (controlplane.kit.asking), and what the answers set going."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from agents import asking as deployments
from controlplane.kit.asking import Asked
from controlplane.kit.gate import Verdict
from governance import approvals
from governance.approval_ends import cancel_for_key
from governance.models import Approval
from governance.signals import approval_decided
from projects.people import User

# What carries out the answer to a question, by its subject.
ANSWERED = {"deployment": deployments.answered}


def ask(
    *,
    project_id: UUID,
    subject: str,
    key: str,
    title: str,
    packet: Mapping[str, Any],
    action_sha256: str,
    verdict: Verdict,
    actor: Any,
) -> Asked:
    """See controlplane.kit.asking.ask. It is asked as the policy says: its quorum, its due time;
    out of time counts as no unless others are asked then, for nothing goes on without an answer."""
    wish = dict(verdict.approval or {})
    on_timeout = "escalate" if wish.get("on_timeout") == "escalate" else "reject"
    row = approvals.request(
        project_id=project_id,
        run_id=None,
        step_id=None,
        subject=subject,
        key=key,
        title=title,
        packet={**packet, "policy": list(verdict.policies), "reason": verdict.reason},
        arguments=None,
        action_sha256=action_sha256,
        quorum=int(wish.get("quorum") or 1),
        due_seconds=wish.get("due_seconds"),
        on_timeout=on_timeout,
        assignees=wish.get("assignees") or (),
        requester_may_approve=wish.get("requester_may_approve", True),
        requested_by_id=actor.pk if isinstance(actor, User) else None,
        shape=f"{subject}:{key}",
    )
    return Asked(row.pk, row.title, row.is_pending)


def withdraw(project_id: UUID, subject: str, key: str) -> None:
    """See controlplane.kit.asking.withdraw."""
    cancel_for_key(project_id, subject, key)


@receiver(approval_decided)
def carry_out(sender: Any, approval: Approval, **kwargs: Any) -> None:
    """Do what was approved, or write down why not, in the transaction of the decision: an error
    undoes the decision and reaches who made it."""
    answered = ANSWERED.get(approval.subject)
    # Without a key it was not asked here.
    if answered is None or not approval.key:
        return
    words = approvals.outcome(approval)
    answered(
        approval.key,
        approval.pk,
        approval.action_sha256,
        is_approved=words["approved"],
        by=words["by_name"] or "",
        comment=words["comment"],
    )

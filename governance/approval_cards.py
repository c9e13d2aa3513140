"""What a card of an approval shows: exactly what will happen, who is asked, what went before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance import approval_rules as rules
from governance.models import Approval, ApprovalDecision

# Facts of a packet that stand beside the card, in this order; the rest is shown as it is.
FACTS = ("workflow", "environment", "agent", "tool", "policy")
APART = frozenset({*FACTS, "show", "reason", "diff", "cost", "currency"})
MOST_CHANGES = 50
TIMEOUTS = {
    "reject": "it counts as rejected",
    "continue": "the run goes on without",
    "escalate": "admins are asked as well",
}


@dataclass(frozen=True)
class Card:
    """One approval ready to be drawn. `why_not` says why this person cannot decide it."""

    approval: Approval
    facts: list[tuple[str, str]]
    show_text: str | None
    show: Any
    rest: dict[str, Any]
    changes: list[dict[str, Any]]
    cost: str | None
    currency: str
    votes: list[ApprovalDecision]
    yes: int
    why_not: str
    is_overdue: bool
    on_timeout: str
    history: Mapping[str, Any]

    @property
    def median_ms(self) -> float | None:
        """How long the same took before."""
        seconds = self.history.get("median_seconds")
        return None if seconds is None else 1000 * seconds

    @property
    def look(self) -> str:
        """The state it looks like: a person is waited for."""
        return "approval" if self.approval.is_pending else self.approval.status

    @property
    def votes_label(self) -> str:
        """`1 of 2`."""
        return f"{self.yes} of {self.approval.quorum}"

    @property
    def took_ms(self) -> float | None:
        """From the request to the end."""
        seconds = self.approval.seconds_to_decide
        return None if seconds is None else 1000 * seconds

    @property
    def ending(self) -> str:
        """How it ended, and by whom."""
        status = self.approval.get_status_display()
        by_people = self.approval.status in ("approved", "rejected") and self.votes
        return f"{status} by {self.votes[-1].actor}" if by_people else status

    @property
    def has_history(self) -> bool:
        """Whether the same was asked before."""
        return self.history.get("last_at") is not None


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


def _changes(diff: Any) -> list[dict[str, Any]]:
    """[{path, before, after}] of a packet's diff; nothing where it is shaped otherwise."""
    if not isinstance(diff, list) or not all(isinstance(item, dict) for item in diff):
        return []
    return [
        {
            "path": str(item.get("path", "")),
            "before": item.get("before"),
            "after": item.get("after"),
        }
        for item in diff[:MOST_CHANGES]
    ]


def card(approval: Approval, user: Any, now: datetime, history: Mapping[str, Any]) -> Card:
    """The card of an approval for a user; its decisions are fetched already."""
    packet = approval.packet if isinstance(approval.packet, dict) else {"show": approval.packet}
    votes = list(approval.decisions.all())
    changes = _changes(packet.get("diff"))
    rest = {name: value for name, value in packet.items() if name not in APART}
    if packet.get("diff") and not changes:
        rest["diff"] = packet["diff"]
    show = packet.get("show")
    refusal = rules.refusal(approval, user, votes, now) if approval.is_pending else None
    current = [d for d in votes if d.shown_sha256 == approval.shown_sha256]
    return Card(
        approval=approval,
        facts=[(name.capitalize(), _words(packet[name])) for name in FACTS if packet.get(name)],
        show_text=show if isinstance(show, str) else None,
        show=None if isinstance(show, str) else show,
        rest=rest,
        changes=changes,
        cost=packet.get("cost"),
        currency=str(packet.get("currency") or "USD"),
        votes=votes,
        yes=sum(d.action == "approve" for d in current),
        why_not=str(refusal) if refusal else "",
        is_overdue=bool(approval.is_pending and approval.due_at and approval.due_at <= now),
        on_timeout=TIMEOUTS[approval.on_timeout],
        history=history,
    )

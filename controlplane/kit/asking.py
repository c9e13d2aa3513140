"""The door to approvals for apps left of governance: ask people, and take a question back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from controlplane.kit.gate import Verdict


@dataclass(frozen=True)
class Asked:
    """A question that was put to people: its approval, and whether it still waits."""

    id: UUID
    title: str
    is_pending: bool = True

    @property
    def url(self) -> str:
        """The page of the approval."""
        return f"/approvals/{self.id}/"


@cache
def _named(verb: str) -> Any:
    return import_string(settings.QUESTIONS[verb])


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
    """Put an act that a policy holds back before people; in the running transaction.

    `subject` says what is asked about (`deployment`), `key` which one: another act under the same
    key takes the place of the open question. `packet` is what people see, `action_sha256` names
    exactly what would be done; the same act is asked once. Lock nothing that deciding locks.
    """
    return _named("ask")(
        project_id=project_id,
        subject=subject,
        key=key,
        title=title,
        packet=packet,
        action_sha256=action_sha256,
        verdict=verdict,
        actor=actor,
    )


def withdraw(project_id: UUID, subject: str, key: str) -> None:
    """Nobody waits for the answer any more. Call it after commit, with no lock held."""
    _named("withdraw")(project_id, subject, key)

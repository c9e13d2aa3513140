"""The freeze switch of a project or of one environment of it: who turned it on, when and why."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from controlplane.kit import audit, events
from controlplane.kit.errors import DomainError
from projects.models import Environment, Project

LONGEST_REASON = 500


@transaction.atomic
def set_frozen(
    project: Project,
    environment: Environment | None,
    frozen: bool,
    *,
    actor: Any,
    reason: str = "",
) -> bool:
    """Turn the switch, with its audit row and its event; False where it stands so already."""
    where: Any = environment or project
    rows = type(where).objects.filter(pk=where.pk, frozen_at__isnull=frozen)
    by = str(actor)[:120] if actor is not None else "system"
    changed = rows.update(
        frozen_at=timezone.now() if frozen else None,
        frozen_by=by if frozen else "",
        frozen_reason=reason if frozen else "",
        updated_at=timezone.now(),
    )
    if changed:
        name = environment.name if environment else None
        facts = {"environment": name, "reason": reason}
        verb = "frozen" if frozen else "thawed"
        kind = "environment" if environment else "project"
        audit.record(
            f"{kind}.{verb}", actor=actor, project_id=project.pk, target=where, after=facts
        )
        told = {"status": verb, "name": project.name, "by": by, **facts}
        events.append(project.pk, project.pk, f"project.{verb}", told)
    return bool(changed)


def refuse_frozen(project: Project, environment: Environment | None = None) -> None:
    """409 `frozen` while the switch of a project, or of an environment, is on."""
    for held in (project, environment):
        if held is not None and held.frozen_at is not None:
            held.refresh_from_db(fields=["name", "frozen_at", "frozen_by", "frozen_reason"])
            raise DomainError(f"{held.name} was {sentence(held)}", code="frozen")


def sentence(held: Project | Environment) -> str:
    """Who froze it, when and why."""
    return told(held.frozen_by, held.frozen_at, held.frozen_reason)


def told(by: str, at: datetime | None, reason: str = "") -> str:
    """By whom, when and why, as a sentence."""
    when = f" at {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
    why = f" ({reason.rstrip('.')})" if reason else ""
    return f"frozen by {by or 'somebody'}{when}{why}."

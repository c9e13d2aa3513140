"""Writes audit rows for controlplane.kit.audit (named in settings.AUDIT_RECORDER)."""

from collections.abc import Mapping
from typing import Any

import structlog

from controlplane.kit.ids import parse_uuid
from governance.models import AuditEntry

SYSTEM = {"type": "system", "id": None, "name": "system"}


def actor_facts(actor: Any) -> dict[str, Any]:
    """{type, id, name} of a user, of an actor dict, or of the system for None."""
    if actor is None:
        return SYSTEM
    if isinstance(actor, Mapping):
        return dict(actor)
    kind = "service" if actor.is_service else "user"
    if actor.api_key is not None:
        kind = "api_key"
    return {"type": kind, "id": actor.pk, "name": actor.name or actor.email}


def _plain(side: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if side is None:
        return None
    simple = (str, int, float, bool, list, dict, type(None))
    return {k: v if isinstance(v, simple) else str(v) for k, v in side.items()}


def record(
    action: str,
    *,
    actor: Any,
    project_id: Any,
    target: Any,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    target_type: str = "",
) -> None:
    """Insert one audit row in the running transaction. Unchanged keys are left out of a change."""
    who = actor_facts(actor)
    before, after = _plain(before), _plain(after)
    if before is not None and after is not None:
        changed = {k for k in {*before, *after} if before.get(k) != after.get(k)}
        before = {k: v for k, v in before.items() if k in changed}
        after = {k: v for k, v in after.items() if k in changed}
    AuditEntry.objects.create(
        project_id=project_id,
        actor_type=who["type"],
        actor_id=parse_uuid(who["id"]) if who["id"] else None,
        actor_name=str(who["name"])[:120],
        action=action,
        target_type=target_type or target._meta.model_name,
        target_id=str(getattr(target, "pk", target)),
        target_name=str(target)[:200] if hasattr(target, "pk") else "",
        before=before,
        after=after,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )

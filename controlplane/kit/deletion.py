"""Deleting a row by any door: to the trash or for good, with its audit entry."""

from collections.abc import Mapping
from typing import Any

from django.db.models import ProtectedError, RestrictedError
from django.utils import timezone

from controlplane.kit import audit
from controlplane.kit.errors import InUse


def delete(row: Any, *, actor: Any, hard: bool, before: Mapping[str, Any] | None = None) -> None:
    """Delete `row` inside the caller's transaction; InUse names what the database protects."""
    project_id = row.pk if row.project_path == "pk" else row.project_id
    audit.record(
        f"{row._meta.model_name}.{'deleted' if hard else 'trashed'}",
        actor=actor,
        project_id=project_id,
        target=row,
        before=before,
    )
    if not hard:
        now = timezone.now()
        type(row).objects.filter(pk=row.pk).update(deleted_at=now, updated_at=now)
        return
    try:
        row.delete()
    except (ProtectedError, RestrictedError) as exc:
        held = getattr(exc, "protected_objects", None) or getattr(exc, "restricted_objects", ())
        used = sorted({f"{o._meta.verbose_name} {o}" for o in list(held)[:20]})
        raise InUse(f"Still in use by {', '.join(used)}.", extra={"used_by": used}) from None

"""The door to the audit log: rows are written by what settings.AUDIT_RECORDER names."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string


@cache
def _recorder() -> Any:
    return import_string(settings.AUDIT_RECORDER)


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
    """Write one audit row in the running transaction.

    `action` is dotted (`run.cancelled`), `actor` a User, an actor dict {type, id, name} or None for
    the system, `target` a model row or an id (then give `target_type`).
    """
    _recorder()(
        action,
        actor=actor,
        project_id=project_id,
        target=target,
        before=before,
        after=after,
        target_type=target_type,
    )

"""Answers `user.has_perm("app.verb_model", obj)` from the role in the object's project."""

from typing import Any
from uuid import UUID

from projects.roles import allows


def project_id_of(obj: Any) -> UUID | None:
    """The project a row belongs to."""
    if obj.project_path == "pk":
        return obj.pk
    for name in obj.project_path.split("__")[:-1]:
        obj = getattr(obj, name)
    return obj.project_id


class ProjectRoleBackend:
    """Object permissions by role. Without an object it says nothing."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Nobody signs in here."""

    def has_perm(self, user: Any, permission: str, obj: Any = None) -> bool:
        """Whether the user's role in the object's project, and the scopes of the API key the user
        came with, allow it."""
        if obj is None or not hasattr(obj, "project_path"):
            return False
        return user.in_scope(permission) and allows(
            user.project_roles().get(project_id_of(obj)), permission
        )


def in_scopes(permission: str, scopes: list[str]) -> bool:
    """Whether scopes such as `runs:read`, `runs:write`, `runs.add_run` or `*` reach so far."""
    app, _, verb = permission.partition(".")
    wanted = f"{app}:read" if verb.startswith("view_") else f"{app}:write"
    return (
        "*" in scopes
        or wanted in scopes
        or permission in scopes
        or (wanted.endswith(":read") and f"{app}:write" in scopes)
    )

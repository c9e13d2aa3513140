"""Asking for a permission at a door: one vocabulary, `app.verb_model` on an object."""

from typing import Any

from django.core.exceptions import PermissionDenied


def require(user: Any, permission: str, obj: Any) -> None:
    """Go on, or PermissionDenied (403) where `user` may not do this to `obj`."""
    if not user.has_perm(permission, obj):
        raise PermissionDenied(user.refusal(obj))


def permission_name(verb: str, model: Any) -> str:
    """`runs.cancel_run` for ("cancel", Run). Rows that hang on another thing, and have no rights of
    their own, name it as `permission_noun`."""
    meta = model._meta
    noun = getattr(model, "permission_noun", meta.model_name)
    return f"{meta.app_label}.{verb}_{noun}"

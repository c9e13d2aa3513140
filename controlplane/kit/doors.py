"""The rules of the API for who comes by no request: a viewset that acts for a user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction


@dataclass
class Acting:
    """What a viewset and its serializers ask of a request."""

    user: Any
    data: Mapping[str, Any] = field(default_factory=dict)
    query_params: Mapping[str, Any] = field(default_factory=dict)
    method: str = "PATCH"


def door(viewset_class: Any, user: Any, action: str = "") -> Any:
    """The API's viewset for a user, without a request."""
    return viewset_class(request=Acting(user), kwargs={}, action=action)


def change(door: Any, row: Any, data: Mapping[str, Any]) -> Any:
    """PATCH a row by the rules of the API, with its audit row: the changed row. The caller has
    locked it, inside a transaction."""
    before = door.facts(row)
    serializer = door.serializer_class(
        row, data=dict(data), partial=True, context={"request": door.request, "view": door}
    )
    serializer.is_valid(raise_exception=True)
    changed = door.guarded(lambda: door.perform_update(serializer))
    door.record("changed", changed, before=before, after=door.facts(changed))
    return changed


@transaction.atomic
def change_locked(viewset_class: Any, row: Any, user: Any, data: Mapping[str, Any]) -> Any:
    """PATCH a row as it is now, under its lock."""
    return change(
        door(viewset_class, user),
        type(row).objects.select_for_update(of=("self",)).get(pk=row.pk),
        data,
    )

"""Two people save the same row: what each has, field by field, and which of the two is kept.

A form of a row carries the version it was filled from and what stood in its fields then. Where the
row has another version by now, nothing is saved: both sides are shown, and the form comes back with
a choice for each field they differ in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from controlplane.kit.errors import PreconditionFailed

VERSION, BASE = "_version", "_base"
LONGEST_BASE = 2_000_000


class Overtaken(PreconditionFailed):
    """Somebody else saved the row since the form was filled."""


@dataclass(frozen=True)
class Dispute:
    """One field in which the two differ: its text at first, as typed, and as it is stored now."""

    name: str
    label: str
    base: str
    mine: str
    theirs: str

    @property
    def both(self) -> bool:
        """Whether both changed it."""
        base = _plain(self.base)
        return base not in (_plain(self.mine), _plain(self.theirs))

    @property
    def take(self) -> str:
        """What is proposed: the side that changed it; where both did, one's own."""
        return "theirs" if _plain(self.mine) == _plain(self.base) else "mine"


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "on"
    return str(value).replace("\r\n", "\n").strip()


def _plain(text: str) -> str:
    """A text as it is compared: JSON without regard to how it is laid out."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def texts(form: Any) -> dict[str, str]:
    """What stands in each field of a form, as text."""
    return {name: _text(form[name].value()) for name in form.fields}


def carried(form: Any, version: str) -> dict[str, str]:
    """What a form takes along: its version, and the texts it was filled with."""
    return {"version": version, "base": json.dumps(texts(form), ensure_ascii=False)}


def read_base(data: Mapping[str, Any]) -> dict[str, str]:
    """The texts a form was filled with; empty where they are missing or no longer to be read."""
    try:
        found = json.loads(str(data.get(BASE, ""))[:LONGEST_BASE])
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def disputes(mine: Any, theirs: Any, base: Mapping[str, str]) -> list[Dispute]:
    """The fields in which a typed form differs from the row as it is now."""
    typed, stored = texts(mine), texts(theirs)
    return [
        Dispute(name, str(mine[name].label), base.get(name, ""), typed[name], stored[name])
        for name in mine.fields
        if _plain(typed[name]) != _plain(stored.get(name, ""))
    ]


def kept(form: Any) -> list[tuple[str, str]]:
    """All that was typed, as names and values of hidden fields."""
    return [(name, value) for name in form.fields for value in form.data.getlist(name)]


def merged(data: QueryDict) -> QueryDict:
    """The form after the choice: where theirs was taken, with what they have."""
    if not any(name.startswith("take-") for name in data):
        return data
    found = data.copy()
    for name in list(found):
        if not name.startswith("take-") or found[name] != "theirs":
            continue
        field = name.removeprefix("take-")
        text = found.get(f"theirs-{field}", "")
        if text:
            found[field] = text
        else:
            # Empty text and a box that is not ticked are both sent as nothing.
            found.pop(field, None)
    return found

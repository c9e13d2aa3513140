"""What changed between two JSON objects: pure."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict


class Change(TypedDict):
    """One difference; `path` is dotted, absent sides are null."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: Any
    after: Any


def compare(before: Mapping[str, Any], after: Mapping[str, Any], at: str = "") -> list[Change]:
    """The differences, keys in order; objects are gone into, lists are compared as a whole."""
    found: list[Change] = []
    for key in sorted({*before, *after}):
        path = f"{at}.{key}" if at else str(key)
        if key not in before:
            found.append(Change(path=path, kind="added", before=None, after=after[key]))
        elif key not in after:
            found.append(Change(path=path, kind="removed", before=before[key], after=None))
        elif isinstance(before[key], Mapping) and isinstance(after[key], Mapping):
            found += compare(before[key], after[key], path)
        elif before[key] != after[key]:
            found.append(Change(path=path, kind="changed", before=before[key], after=after[key]))
    return found

"""What a server says of one of its tools, as one value that can be pinned and compared: pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from controlplane.kit import schemas, storable

# The protocol's own rule.
_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,128}\Z")
MAX_BYTES = 256 * 1024
_HINTS = ("title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def definition(told: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tool, as the protocol spells it, on which callers rely: {name, title,
    description, input_schema, output_schema, annotations}."""
    hints = told.get("annotations") or {}
    return {
        "name": str(told.get("name", "")),
        "title": told.get("title") or "",
        "description": told.get("description") or "",
        "input_schema": told.get("inputSchema") or {"type": "object"},
        "output_schema": told.get("outputSchema"),
        "annotations": {name: hints[name] for name in _HINTS if hints.get(name) is not None},
    }


def sha256(definition: Mapping[str, Any]) -> str:
    """The fingerprint by which a definition is pinned; the same for the same definition."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def storable_fault(definition: Mapping[str, Any]) -> str:
    """Why a definition cannot even be kept; empty where it can."""
    return storable.problem(dict(definition), MAX_BYTES) or ""


def fault(definition: Mapping[str, Any]) -> str:
    """Why a tool of this definition cannot be imported; empty where it can."""
    if not _NAME.match(definition["name"]):
        return "Its name is not one that the protocol allows."
    if problem := storable_fault(definition):
        return f"Its definition cannot be stored: {problem}"
    for name in ("input_schema", "output_schema"):
        schema = definition[name]
        if schema is not None and (found := schemas.schema_faults(schema, name)):
            return f"{found[0].field}: {found[0].message}"
    return ""


def slug_of(name: str) -> str:
    """A slug made of a tool's name."""
    text = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    return text.strip("-")[:63].strip("-") or "tool"


def classes(definition: Mapping[str, Any]) -> tuple[str, str]:
    """(effect class, stakes) that the server's hints suggest. Hints may lie, so that a person can
    set both; where they say nothing, the protocol's own cautious reading holds."""
    hints = definition["annotations"]
    if hints.get("readOnlyHint") is True:
        return "read", "read"
    effect = "idempotent" if hints.get("idempotentHint") is True else "unsafe"
    return effect, "write" if hints.get("destructiveHint") is False else "destructive"

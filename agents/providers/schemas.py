"""Output schemas as the vendors' structured modes want them."""

import json
from collections.abc import Mapping
from typing import Any

# Keywords beyond these make the strict modes refuse the whole request.
_STRICT_KEYWORDS = frozenset(
    (
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "description",
        "title",
        "$defs",
        "$ref",
        "$schema",
    )
)


def is_strict(schema: Any) -> bool:
    """Whether a schema fits the strict modes: closed objects whose every property is required, and
    only the keywords that all vendors take."""
    if not isinstance(schema, Mapping) or not set(schema) <= _STRICT_KEYWORDS:
        return False
    properties = schema.get("properties", {})
    if schema.get("type") == "object" or properties:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
    parts = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    if "items" in schema:
        parts.append(schema["items"])
    return all(is_strict(part) for part in parts)


def json_instructions(schema: Mapping[str, Any]) -> str:
    """What to tell a model whose server may ignore the schema."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with JSON only, without any other words, that fits this JSON Schema: {text}"

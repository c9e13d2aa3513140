"""A value that fits a JSON Schema: the output of a simulated call."""

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 8
_MAX_ITEMS = 20
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}


def sample(schema: Any) -> Any:
    """A value made from a schema, by its examples and defaults where it has any; a best effort
    where the schema ties values to patterns or conditions."""
    return _sample(schema, schema, 0)


def simulated_output(schema: Mapping[str, Any] | None) -> Any:
    """The output of a simulated call: a sample, with `simulated: true` in it where it is an object
    that may have further keys."""
    if not schema:
        return {"simulated": True}
    value = sample(schema)
    closed = schema.get("additionalProperties") is False or "unevaluatedProperties" in schema
    named = schema.get("properties", {})
    if isinstance(value, dict) and not closed and "simulated" not in named:
        value["simulated"] = True
    return value


def _sample(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _sample(_resolve(schema["$ref"], root), root, depth + 1)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    if "allOf" in schema:
        return _sample(_merged(schema, root), root, depth + 1)
    for name in ("oneOf", "anyOf"):
        if schema.get(name):
            rest = {key: item for key, item in schema.items() if key != name}
            return _sample({**rest, **_opened(schema[name][0], root)}, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    return _of_kind(kind or _guessed(schema), schema, root, depth)


def _resolve(ref: Any, root: Any) -> Any:
    found = root
    for part in str(ref).lstrip("#").strip("/").split("/"):
        if part and isinstance(found, Mapping):
            found = found.get(part.replace("~1", "/").replace("~0", "~"))
    return found


def _opened(schema: Any, root: Any) -> dict[str, Any]:
    if isinstance(schema, Mapping) and "$ref" in schema:
        schema = _resolve(schema["$ref"], root)
    return dict(schema) if isinstance(schema, Mapping) else {}


def _merged(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    merged = {key: item for key, item in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        part = _opened(part, root)
        part["properties"] = {**merged.get("properties", {}), **part.get("properties", {})}
        part["required"] = [*merged.get("required", []), *part.get("required", [])]
        merged |= part
    return merged


def _guessed(schema: Mapping[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "null"


def _of_kind(kind: str, schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    if kind == "object":
        properties = schema.get("properties", {})
        names = dict.fromkeys([*properties, *schema.get("required", [])])
        return {name: _sample(properties.get(name, {}), root, depth + 1) for name in names}
    if kind == "array":
        return _array(schema, root, depth)
    if kind == "string":
        return _string(schema)
    if kind in ("integer", "number"):
        return _number(kind, schema)
    return False if kind == "boolean" else None


def _array(schema: Mapping[str, Any], root: Any, depth: int) -> list[Any]:
    items = [_sample(item, root, depth + 1) for item in schema.get("prefixItems", [])]
    wanted = min(max(schema.get("minItems", 0), 1 if "items" in schema else 0), _MAX_ITEMS)
    while len(items) < wanted:
        items.append(_sample(schema.get("items", {}), root, depth + 1))
    return items[: schema.get("maxItems", len(items))]


def _string(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(schema.get("format", ""), "text")
    text = text.ljust(min(schema.get("minLength", 0), 10_000), "x")
    return text[: schema.get("maxLength", len(text))]


def _number(kind: str, schema: Mapping[str, Any]) -> float | int:
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    value: float | int = 0
    if least is not None and least >= 0:
        value = -(-least // step) * step
        if value == schema.get("exclusiveMinimum"):
            value += step
    elif most is not None and most <= 0:
        value = most // step * step
        if value == schema.get("exclusiveMaximum"):
            value -= step
    if kind == "number" and most is not None and value > most:
        value = (least + most) / 2 if least is not None else most
    return int(value) if kind == "integer" else value

"""Constant arguments against the schema they must fit; what an expression will give is left out."""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.kit import schemas
from workflows.graph.rules import Problem, is_dynamic

# What a schema says of a container apart from the values in it.
_OF_THE_CONTAINER = frozenset((
    "required", "additionalProperties", "unevaluatedProperties", "propertyNames", "type",
    "minItems", "maxItems", "minProperties", "maxProperties",
))  # fmt: skip
# Below these a fault may depend on a value not known yet.
_CONDITIONAL = frozenset(
    ("if", "then", "else", "anyOf", "oneOf", "not", "contains", "dependentSchemas")
)

Place = tuple[str | int, ...]


def dynamic_places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the expressions stand."""
    if is_dynamic(value):
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from dynamic_places(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from dynamic_places(item, (*place, number))


def misfits(schema: Mapping[str, Any] | None, value: Any) -> Iterator[Problem]:
    """What in `value` can never fit the schema, whatever its expressions give."""
    if not schema:
        return
    open_places = list(dynamic_places(value))
    for error in schemas.errors(schema, value):
        if not open_places or _is_certain(error, open_places):
            yield error.field, error.code, error.message


def _is_certain(error: schemas.SchemaError, open_places: list[Place]) -> bool:
    if any(error.path[: len(place)] == place for place in open_places):
        return False
    if not any(place[: len(error.path)] == error.path for place in open_places):
        return True
    return error.keyword in _OF_THE_CONTAINER and _CONDITIONAL.isdisjoint(error.schema_path)

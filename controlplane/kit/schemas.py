"""JSON Schema (2020-12): checking schemas and values, with the faults in words."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError

from controlplane.kit.errors import FieldProblem

MAX_BYTES = 256 * 1024
MAX_FAULTS = 20
_MAX_MESSAGE = 300
_ANY_OBJECT: tuple[Any, ...] = ({}, {"type": "object"}, True)


def _no_retrieval(uri: str) -> Any:
    # The library would fetch a remote $ref by itself.
    raise ValueError("schemas are not fetched from other places")


@lru_cache(maxsize=512)
def _compiled(text: str) -> Draft202012Validator:
    return Draft202012Validator(
        json.loads(text), retriever=_no_retrieval, validate_formats=True
    )


def schema_faults(schema: Any, field: str) -> list[FieldProblem]:
    """What is wrong with a schema, empty where it can be used. `field` is the schema's own name."""
    if not isinstance(schema, dict):
        return [FieldProblem(field, "invalid_schema", "A JSON Schema is an object.")]
    try:
        text = json.dumps(schema)
        if len(text) > MAX_BYTES:
            return [FieldProblem(field, "too_large", "The schema is larger than 256 KB.")]
        _compiled(text)
    except ValidationError as exc:
        place = ".".join([field, *map(str, exc.instance_path)])
        return [FieldProblem(place, "invalid_schema", _short(exc.message))]
    except (ReferencingError, ValueError, RecursionError) as exc:
        return [FieldProblem(field, "invalid_schema", _short(str(exc) or "Nested too deeply."))]
    return []


def faults(schema: Any, value: Any, field: str = "") -> list[FieldProblem]:
    """What in `value` breaks a valid schema: at most MAX_FAULTS, each with its dotted place below
    `field`. Without a schema nothing does."""
    if schema is None or (isinstance(value, dict) and schema in _ANY_OBJECT):
        return []
    try:
        validator = _compiled(json.dumps(schema))
        if validator.is_valid(value):
            return []
        return list(_explained(validator, value, field))
    except (ValueError, RecursionError) as exc:
        return [FieldProblem(field, "invalid", f"Cannot be checked: {_short(str(exc))}")]


def _explained(
    validator: Draft202012Validator, value: Any, field: str
) -> Iterator[FieldProblem]:
    for number, error in enumerate(validator.iter_errors(value)):
        if number == MAX_FAULTS:
            return
        place = [*([field] if field else []), *map(str, error.instance_path)]
        facts = error.kind.as_dict()
        if error.kind.name == "required":
            yield FieldProblem(".".join([*place, facts["property"]]), "required",
                               "This is required.")
        elif error.kind.name == "additionalProperties":
            for name in facts["unexpected"]:
                yield FieldProblem(".".join([*place, name]), "unknown_field", "Unknown field.")
        else:
            yield FieldProblem(".".join(place), error.kind.name, _short(error.message))


def _short(message: str) -> str:
    message = message.split("\n\n", 1)[0]
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"

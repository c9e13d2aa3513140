"""JSON Schema (2020-12): checking schemas and values, with the faults in words."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    ReferencingError,
    ValidationError,
)

from controlplane.kit import patterns
from controlplane.kit.errors import FieldProblem
from controlplane.kit.schema_cost import BACKTRACKS, Cost, TooCostly, cost_of

MAX_BYTES = 256 * 1024
MAX_FAULTS = 20
_MAX_MESSAGE = 300
_SMALL = 16 * 1024
_ANY_OBJECT: tuple[Any, ...] = ({}, {"type": "object"}, True)
# Steps of the checker (30 ns) and of its pattern engine (9 ns) that one check may take at most.
_MAX_STEPS = 10_000_000
_MAX_PATTERN_STEPS = 50_000_000
# Explaining costs 400 times as much as checking: beyond this only the verdict is given.
_MAX_EXPLAINED = 20_000
_BACKTRACKING = FancyRegexOptions(backtrack_limit=BACKTRACKS)


@dataclass(frozen=True, slots=True)
class SchemaError:
    """One fault of a value: where it is, the keyword it breaks and where that stands."""

    path: tuple[str | int, ...]
    schema_path: tuple[str | int, ...]
    keyword: str
    code: str
    message: str
    # The property that is missing or too much; it belongs to the field, not to the path.
    name: str = ""

    @property
    def field(self) -> str:
        """The dotted place."""
        return ".".join([*map(str, self.path), *([self.name] if self.name else [])])


def _no_retrieval(uri: str) -> Any:
    # The library would fetch a remote $ref by itself.
    raise ValueError("schemas are not fetched from other places")


def _compiled(text: str) -> tuple[Draft202012Validator, Cost]:
    return _small(text) if len(text) <= _SMALL else _large(text)


def _compile(text: str) -> tuple[Draft202012Validator, Cost]:
    schema = json.loads(text)
    cost = cost_of(schema)
    options = _BACKTRACKING if cost.backtracks else patterns.OPTIONS
    validator = Draft202012Validator(
        schema, retriever=_no_retrieval, validate_formats=True, pattern_options=options
    )
    return validator, cost


# Kept apart, so that a few hundred large schemas do not fill the memory.
_small = lru_cache(maxsize=512)(_compile)
_large = lru_cache(maxsize=16)(_compile)


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
    except TooCostly as exc:
        return [FieldProblem(field, "too_costly", _short(str(exc)))]
    except (ReferencingError, ValueError, TypeError, RecursionError) as exc:
        return [FieldProblem(field, "invalid_schema", _short(str(exc) or "Nested too deeply."))]
    return []


def faults(schema: Any, value: Any, field: str = "") -> list[FieldProblem]:
    """What in `value` breaks a valid schema: at most MAX_FAULTS, each with its dotted place below
    `field`. Without a schema nothing does."""
    return [
        FieldProblem(".".join(part for part in (field, error.field) if part), error.code,
                     error.message)
        for error in errors(schema, value)
    ]  # fmt: skip


def errors(schema: Any, value: Any) -> list[SchemaError]:
    """The same as `faults`, with the paths as they are. What would take too long to check, or
    cannot be checked, is an error of the whole value."""
    if schema is None or (isinstance(value, dict) and schema in _ANY_OBJECT):
        return []
    try:
        validator, cost = _compiled(json.dumps(schema))
        steps = _steps(cost, value)
        if validator.is_valid(value):
            return []
        if steps > _MAX_EXPLAINED:
            return [_whole("schema", "The value does not fit its schema.")]
        return list(_explained(validator, value))
    except TooCostly as exc:
        return [_whole("too_costly", f"Cannot be checked: {_short(str(exc))}")]
    except (ReferencingError, ValidationError, ValueError, TypeError, RecursionError) as exc:
        return [_whole("invalid", f"Cannot be checked: {_short(str(exc))}")]


def _whole(code: str, message: str) -> SchemaError:
    return SchemaError((), (), code, code, message)


def _steps(cost: Cost, value: Any) -> int:
    """The most steps a check can take. TooCostly beyond the bounds."""
    raw = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    # Commas and brackets inside texts only make the estimate larger.
    parts = 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    visits = 1
    if cost.branching > 1:
        depth = _depth(value)
        levels = depth if cost.levels is None else min(depth, cost.levels)
        visits = cost.branching ** min(levels, 60)
    steps = parts * cost.width * visits
    if steps > _MAX_STEPS or len(raw) * cost.pattern * visits > _MAX_PATTERN_STEPS:
        raise TooCostly("this schema and a value of this size would take too long.")
    return steps


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, dict | list) and part]:
        depth += 1
        level = [
            item for part in level for item in (part.values() if isinstance(part, dict) else part)
        ]
    return depth


def _explained(validator: Draft202012Validator, value: Any) -> Iterator[SchemaError]:
    count = 0
    for error in validator.iter_errors(value):
        path = tuple(error.instance_path)
        schema_path = tuple(error.schema_path)
        facts = error.kind.as_dict()
        keyword = error.kind.name
        if keyword == "required":
            found = [("required", "This is required.", str(facts["property"]))]
        elif keyword == "additionalProperties":
            found = [("unknown_field", "Unknown field.", name) for name in facts["unexpected"]]
        else:
            found = [(keyword, _short(error.message), "")]
        for code, message, name in found:
            yield SchemaError(path, schema_path, keyword, code, message, name)
            count += 1
            if count == MAX_FAULTS:
                return


def _short(message: str) -> str:
    message = message.split("\n\n", 1)[0]
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"

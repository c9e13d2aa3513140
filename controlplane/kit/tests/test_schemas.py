"""JSON Schema checks say what is wrong and where, and fetch nothing."""

import pytest

from controlplane.kit import schemas

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 2},
                   "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city"],
    "additionalProperties": False,
}


def found(schema, value):
    return [(f.field, f.code) for f in schemas.faults(schema, value, "arguments")]


def test_a_value_that_fits_has_no_faults():
    assert found(CITY, {"city": "Oslo", "days": [1, 2]}) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, [("arguments.city", "required")]),
        ({"city": "Oslo", "x": 1}, [("arguments.x", "unknown_field")]),
        ({"city": "O"}, [("arguments.city", "minLength")]),
        ({"city": "Oslo", "days": [1, "two"]}, [("arguments.days.1", "type")]),
        ([], [("arguments", "type")]),
    ],
)
def test_each_fault_names_its_place(value, expected):
    assert found(CITY, value) == expected


def test_without_schema_everything_fits():
    assert schemas.faults(None, {"a": 1}) == []


def test_a_long_list_of_faults_is_cut():
    assert len(found({"items": {"type": "string"}}, list(range(100)))) == schemas.MAX_FAULTS


def test_a_long_value_does_not_make_a_long_message():
    message = schemas.faults({"type": "integer"}, "x" * 100_000)[0].message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "objekt"}, "input_schema.type"),
        ({"pattern": "(a+"}, "input_schema.pattern"),
        ({"properties": {"a": {"minLength": -1}}}, "input_schema.properties.a.minLength"),
        ({"$ref": "#/$defs/none"}, "input_schema"),
        ({"$ref": "http://169.254.169.254/x"}, "input_schema"),
        ([], "input_schema"), ("x", "input_schema"), (None, "input_schema"),
        ({"description": "x" * 300_000}, "input_schema"),
    ],
)
def test_a_schema_that_cannot_be_used_is_named(schema, field):
    assert [f.field for f in schemas.schema_faults(schema, "input_schema")] == [field]


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, CITY, {"$schema": "http://x.test/y"}])
def test_a_usable_schema_has_no_faults(schema):
    assert schemas.schema_faults(schema, "input_schema") == []


def test_a_deep_schema_is_refused_and_not_a_crash():
    schema = {}
    for _ in range(5000):
        schema = {"items": schema}
    assert schemas.schema_faults(schema, "input_schema")


def test_a_pattern_that_backtracks_for_ever_is_bounded():
    assert found({"pattern": "^(a+)+(?=b)$"}, "a" * 60 + "c")

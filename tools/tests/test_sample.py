"""Samples fit the schema they are made from."""

import pytest

from controlplane.kit import schemas
from tools.sample import sample, simulated_output


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "required": ["a", "b", "c"],
        },
        {"type": "array", "items": {"type": "number", "minimum": 2.5}, "minItems": 3},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "maxItems": 2},
        {"type": "string", "minLength": 20, "maxLength": 25},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 5},
        {"type": "integer", "maximum": -3},
        {"type": "integer", "exclusiveMaximum": 0},
        {"type": "number", "minimum": 0.2, "maximum": 0.4},
        {"type": ["null", "string"]},
        {"type": "null"},
        {"type": "boolean"},
        {"enum": ["x", "y"]},
        {"const": {"a": 1}},
        {"default": 7, "type": "integer"},
        {"type": "string", "format": "email"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "uuid"},
        {"type": "string", "format": "uri"},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer", "minimum": 3}}},
        {
            "allOf": [
                {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"const": 1}}, "required": ["b"]},
            ],
            "type": "object",
        },
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"oneOf": [{"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "integer"}}},
        {"properties": {"a": {"items": {"type": "string"}}}},
        {},
    ],
)
def test_a_sample_fits_its_schema(schema):
    assert schemas.schema_faults(schema, "s") == []
    assert schemas.faults(schema, sample(schema)) == []


def test_a_schema_that_holds_itself_ends():
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert sample(schema)["next"]


@pytest.mark.parametrize(
    ("schema", "output"),
    [
        (None, {"simulated": True}),
        ({"type": "object"}, {"simulated": True}),
        ({"type": "object", "additionalProperties": False}, {}),
        ({"type": "array", "items": {"type": "string"}}, ["text"]),
    ],
)
def test_a_simulated_object_is_marked_where_it_may_be(schema, output):
    assert simulated_output(schema) == output

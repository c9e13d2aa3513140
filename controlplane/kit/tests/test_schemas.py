"""JSON Schema checks say what is wrong and where, and fetch nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit import schemas

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "days": {"type": "array", "items": {"type": "integer"}},
    },
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
        ([], "input_schema"),
        ("x", "input_schema"),
        (None, "input_schema"),
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


def nested(depth, inner=1):
    for _ in range(depth):
        inner = [inner]
    return inner


def doubling(levels):
    """A schema of a few lines whose checks double with each level."""
    parts = {
        f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(levels)
    }
    return {"$defs": {**parts, f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


TWO_WAYS_DOWN = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 2}
TREE = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}}}


def test_a_schema_that_doubles_its_work_is_refused_when_saved():
    assert schemas.schema_faults(doubling(5), "s") == []
    assert [f.code for f in schemas.schema_faults(doubling(40), "s")] == ["too_costly"]


def test_a_value_that_would_take_a_recursive_schema_too_long_is_refused():
    assert found(TWO_WAYS_DOWN, nested(4, [])) == []
    assert found(TWO_WAYS_DOWN, nested(60)) == [("arguments", "too_costly")]


def test_a_plain_recursive_schema_takes_deep_values():
    value = {"n": 1}
    for _ in range(150):
        value = {"left": value, "n": 2}
    assert found(TREE, value) == []
    assert found(TREE, {"right": {"left": {"n": "x"}}}) == [("arguments.right.left.n", "type")]


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"$dynamicRef": "#"}]
)
def test_a_schema_that_is_only_itself_ends(schema):
    assert schemas.schema_faults(schema, "s") == []
    assert schemas.faults(schema, nested(50)) == []


def test_patterns_are_paid_by_their_states_and_the_text():
    heavy = {"pattern": "[ab]*a[ab]{500}c"}
    assert found(heavy, "ab" * 100) == [("arguments", "pattern")]
    assert found(heavy, "ab" * 500_000) == [("arguments", "too_costly")]
    assert found({"pattern": "^[a-z0-9-]{36}$"}, "a" * 1_000_000) == [("arguments", "pattern")]


def test_a_pattern_whose_repetitions_multiply_is_refused_when_saved():
    faults = schemas.schema_faults({"patternProperties": {"((a{50}){50}){50}": {}}}, "s")
    assert [f.code for f in faults] == ["too_costly"]


def test_look_ahead_works_on_short_values_only():
    schema = {"pattern": "^(?!tmp)[a-z]+$"}
    assert found(schema, "city") == []
    assert found(schema, "tmpcity") == [("arguments", "pattern")]
    assert found(schema, "a" * 200_000) == [("arguments", "too_costly")]


def test_many_users_of_one_definition_are_not_costly():
    part = {"anyOf": [{"const": i} for i in range(200)]}
    schema = {
        "properties": {f"a{i}": {"$ref": "#/$defs/x"} for i in range(1000)},
        "$defs": {"x": part},
    }
    assert schemas.schema_faults(schema, "s") == []
    assert found(schema, {"a7": 500}) == [("arguments.a7", "anyOf")]


def test_a_value_with_too_many_faults_to_explain_gets_the_verdict():
    assert found({"items": {"type": "string"}}, list(range(50_000))) == [("arguments", "schema")]


KEYWORDS = [
    "$ref", "$defs", "anyOf", "allOf", "not", "items", "properties", "type", "pattern", "a",
    "patternProperties", "$anchor", "$dynamicRef", "prefixItems", "$id",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab#/$", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner | st.sampled_from(["#", "#/$defs/a", "#a", "object", "(?=a)b", "(a+)+$"]),
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(schema=JSON, value=JSON)
def test_no_schema_and_no_value_raise(schema, value):
    if not schemas.schema_faults(schema, "s"):
        assert isinstance(schemas.faults(schema, value), list)

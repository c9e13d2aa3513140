"""What can be stored, and how the rest is named."""

import enum
import json
import math
from datetime import datetime
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit import storable

MEGABYTE = 1_000_000


class Colour(enum.StrEnum):
    RED = "red"


def nested(depth, inner=1):
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**63), 2**63 - 1, 2**53 + 1, 1.5, 1e300, "", "ä😀", [], {}, [None, None],
        {"a": [1, {"b": None}]}, "null", ["null", 1.5], (1, None), [uuid4()], Colour.RED,
        nested(200),
    ],
)  # fmt: skip
def test_plain_json_can_be_stored(value):
    assert storable.problem(value, MEGABYTE) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": ["x\x00y"]}, "A text at a.0 holds a NUL character."),
        ({"a\x00": 1}, "NUL"),
        (["\ud800"], "A text at 0 holds a lone surrogate."),
        ({"\udfff": 1}, "surrogate"),
        ([math.nan], "A number at 0 is NaN or infinite."),
        ({"x": {"y": math.inf}}, "A number at x.y is NaN or infinite."),
        (-math.inf, "NaN or infinite"),
        (2**63, "An integer is beyond 64 bits."),
        ({"n": -(2**63) - 1}, "An integer at n is beyond 64 bits."),
        (10**400, "beyond 64 bits"),
        ({1: 2}, "A key is not text."),
        ({"a": {None: 2}}, "A key at a is not text."),
        ([b"x"], "A bytes at 0 is not JSON."),
        ({"s": {1, 2}}, "A set at s is not JSON."),
        ([datetime(2026, 1, 1)], "not JSON"),
        ([object()], "not JSON"),
        (nested(300), "nested deeper than 250"),
        (nested(100_000), "nested deeper than 250"),
        ("x" * 200, None),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(value, says):
    fault = storable.problem(value, 150)
    assert says in fault if says else "202 bytes, more than the 150" in fault


def test_the_size_is_counted_in_bytes_not_characters():
    assert storable.problem("ä" * 60, 100) is not None
    assert storable.problem("a" * 60, 100) is None


def test_a_long_integer_does_not_hide_a_value_that_is_too_large():
    assert "bytes" in storable.problem([2**62] * 100, 100)


json_like = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
        st.binary(max_size=2),
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_like)
def test_what_passes_comes_back_equal_from_json(value):
    if storable.problem(value, MEGABYTE) is None:
        text = json.dumps(value, allow_nan=False)
        assert "\\u0000" not in text
        assert orjson.loads(orjson.dumps(value)) == value


@given(json_like)
def test_what_fails_has_a_reason_plain_json_shares(value):
    if storable.problem(value, MEGABYTE):
        text = json.dumps(value, default=lambda other: {"other": str(other)})
        reasons = ("NaN", "Infinity", "\\u0000", "\\ud", "other", '"')
        digits = max((len(part) for part in text.replace("-", " ").split()), default=0)
        assert any(reason in text for reason in reasons) or digits > 18


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"NaN", "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b"1e400", "number is too large"),
        (b'["\\u0000"]', "A text at 0 holds a NUL character."),
        (b'"\\ud800"', "lone surrogate"),
        (b"9223372036854775808", "beyond 64 bits"),
        (b"-9223372036854775809", "beyond 64 bits"),
        (b"[" + b"1" * 300 + b"]", "beyond 64 bits"),
        (b"[" + b"1" * 5000 + b"]", "number is too large"),
        (b"[" * 600 + b"]" * 600, "nested deeper"),
        (b"[" * 90_000 + b"]" * 90_000, "nested deeper"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[1,]", "not JSON"),
    ],
)
def test_json_from_outside_is_refused_with_the_reason(raw, says):
    with pytest.raises(ValueError, match=says):
        storable.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [b"1", '"1234567890123456789012"', b"[9223372036854775807, 1.5, null]", b'{"a": "\\u00e4"}'],
)  # fmt: skip
def test_json_from_outside_is_read(raw):
    assert storable.loads(raw) == json.loads(raw)
    assert type(storable.loads(b"1.0")) is float


@given(st.binary(max_size=30))
def test_no_bytes_raise_anything_but_a_value_error(raw):
    try:
        value = storable.loads(raw)
    except ValueError:
        return
    assert storable.problem(value, MEGABYTE) is None

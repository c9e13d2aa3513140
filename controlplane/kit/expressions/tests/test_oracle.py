"""Our evaluator agrees with the CEL library of the Rust world wherever both give a value."""

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.kit.expressions import ExpressionError, compile_expression

CONTEXT = {
    "i": 7, "j": -3, "f": 2.5, "s": "abc", "e": "", "b": True, "n": None,
    "l": [1, 2, 3], "m": {"a": 1, "b": "x", "n": None}, "o": [{"k": 1}, {"k": 2}],
}  # fmt: skip

numbers = st.sampled_from(["i", "j", "f", "0", "1", "-2", "1.5", "2u", "m.a", "l[0]", "o[1].k"])
texts = st.sampled_from(["s", "e", "'abc'", "'b'", "m.b", "'a' + s"])
lists = st.sampled_from(["l", "[]", "[1, 2.0]", "[s]", "o", "l + [4]", "l.map(x, x * 2)"])
anything = st.one_of(numbers, texts, lists, st.sampled_from(["n", "b", "m", "m.n", "true", "null"]))


def joined(*parts):
    return st.tuples(*parts).map("".join)


arithmetic = st.recursive(
    numbers,
    lambda inner: joined(
        st.just("("), inner, st.sampled_from([" + ", " - ", " * ", " / ", " % "]), inner,
        st.just(")"),
    ),
    max_leaves=5,
)  # fmt: skip
comparisons = st.one_of(
    joined(arithmetic, st.sampled_from([" < ", " <= ", " > ", " >= ", " == ", " != "]), arithmetic),
    joined(anything, st.sampled_from([" == ", " != "]), anything),
    joined(anything, st.just(" in "), lists),
    joined(texts, st.sampled_from([" < ", " >= ", " == "]), texts),
    joined(texts, st.sampled_from([".contains(", ".startsWith(", ".endsWith("]), texts,
    st.just(")")),
    joined(st.just("has(m."), st.sampled_from(["a", "z", "n"]), st.just(")")),
    joined(lists, st.sampled_from([".all(x, x == 1)", ".exists(x, x == 2)",
                                   ".exists_one(x, x == 1)"])),
)  # fmt: skip
logic = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        joined(st.just("("), inner, st.sampled_from([" && ", " || "]), inner, st.just(")")),
        joined(st.just("!("), inner, st.just(")")),
        joined(st.just("("), inner, st.just(" ? "), inner, st.just(" : "), inner, st.just(")")),
    ),
    max_leaves=4,
)
values = st.one_of(
    arithmetic, logic, lists, anything,
    joined(st.sampled_from(["int(", "double(", "string("]), arithmetic, st.just(")")),
    joined(lists, st.sampled_from([".filter(x, x == 1)", ".map(x, [x])", ".size()"])),
    joined(st.just("["), arithmetic, st.just(", "), texts, st.just("]")),
)  # fmt: skip


def theirs(text):
    try:
        return cel.evaluate(text, CONTEXT), True
    except Exception:
        return None, False


def ours(text):
    try:
        return compile_expression(text).evaluate(CONTEXT), True
    except ExpressionError:
        return None, False


def same(one, other):
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=600, deadline=None)
@given(values)
def test_both_give_the_same_value_or_both_none(text):
    expected, has_value = theirs(text)
    found, found_any = ours(text)
    if has_value and not isinstance(expected, list) and expected in (float("inf"), float("-inf")):
        return
    if isinstance(expected, float) and expected != expected:
        return
    assert found_any == has_value, text
    assert same(found, expected), text


@pytest.mark.parametrize(
    ("text", "library", "here"),
    [("size('ä')", 2, 1), ("string(true)", None, "true"),
    ("[0, 1].exists(x, 1 / x > 0)", None, True)],
)  # fmt: skip
def test_where_the_library_strays_from_the_language_we_follow_the_language(text, library, here):
    assert theirs(text)[0] == library
    assert ours(text)[0] == here

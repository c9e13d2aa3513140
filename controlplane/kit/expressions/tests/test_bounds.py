"""No expression freezes a process: work, size and depth are bounded whatever the data."""

import threading

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controlplane.kit.expressions import (
    MAX_ITEMS,
    MAX_LENGTH,
    ExpressionError,
    compile_condition,
    compile_expression,
)
from tests.support.pace import laps

DATA = {
    "l": list(range(1_000)), "L": list(range(100_000)), "t": "a" * 1_000, "s": "a" * 1_000_000,
    "u": "ab" * 15_000, "ss": ["a" * 1_000] * 1_000,
    "rows": [{"id": i, "name": f"n{i}", "v": i * 1.5} for i in range(30_000)],
}  # fmt: skip
# Of tests.support.pace; usual is a tenth of it.
LAPS = 60


def attempt(text):
    def work():
        try:
            return compile_expression(text).evaluate(DATA)
        except ExpressionError as error:
            return error

    took, found = laps(work)
    assert took < LAPS
    return found


@pytest.mark.parametrize(
    "text",
    [
        "l.map(x, t" + "+t" * 200 + ")", "s" + "+s" * 300, "l.map(x, s)", "l.map(x, [s, s])",
        "[0]" + ".map(x, [x, x])" * 60, "['aaaaaaaa']" + ".map(x, x + x)" * 60,
        "[0]" + ".map(x, [x, x])" * 40 + " == [0]" + ".map(x, [x, x])" * 40,
        "l" + ".map(x, x + x)" * 70, "l.map(x, rows)", "l.map(x, l)", "l.filter(x, rows == rows)",
        "l.filter(x, rows in [rows])", "l.filter(x, -1 in L)", "l.map(x, distinct(l))",
        "l.map(x, sum(L))", "l.map(x, max(L))", "l.map(x, t.split(''))", "s.split('')",
        "l.map(x, s.replace('a', 'bbbb'))", "t.replace('', s)", "ss.join(s)",
        "l.map(x, ss.join(t))",
        "l.filter(x, s.contains('b'))", "l.filter(x, s < s)", "l.filter(x, bytes(s) == bytes(s))",
        "l.filter(x, u.contains('" + "ab" * 40 + "b'))", "l.map(x, s.upperAscii())",
        "l.filter(x, u.lastIndexOf('" + "ab" * 40 + "b') > 3)", "l.map(x, s.substring(1))",
        "s.matches('[ab]*a[ab]{500}c!')", "l.filter(x, u.matches('[ab]*a[ab]{20}c'))",
        "l.filter(x, 'a'.matches('(a{100}){4}' + string(x)))", "'a'.matches('((a{50}){50}){50}')",
        "l.all(x, " + "&&".join(["x.a"] * 390) + ")", "l.filter(x," + "+".join(["x"] * 900) + ">0)",
        "l.map(x, {" + ",".join(f"'k{i}':x" for i in range(150)) + "})", "L" + "+L" * 900,
    ],
)  # fmt: skip
def test_what_would_take_too_long_is_refused_in_time(text):
    error = attempt(text)
    assert isinstance(error, ExpressionError)
    assert error.code in ("expression_error", "expression_invalid")


def test_a_comprehension_takes_a_thousand_items_and_no_more():
    assert MAX_ITEMS == 1_000
    assert len(attempt("l.map(x, x)")) == 1_000
    for text in ("L.map(x, x)", "(l + [1]).map(x, x)", "('a' + t).split('').filter(x, true)",
                 "rows.exists(r, true)", "(true ? L : l).all(x, true)",
                 "[L][0].map(x, x)"):  # fmt: skip
        assert attempt(text).reason == "too_many_items"


def test_everyday_work_fits_the_budget():
    body = "{'id': x, 'name': 'n' + string(x), 'even': x % 2 == 0, 'square': x * x}"
    assert len(attempt(f"l.filter(x, x % 2 == 0).map(x, {body})")) == 500
    assert attempt("l.filter(x, x in [1, 2, 3, 4, 5]).size()") == 5
    assert attempt("rows") is DATA["rows"]
    assert len(attempt("ss.join(', ')")) == 1_001_998
    assert attempt("rows[29999].name") == "n29999"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900 + "1" + ")" * 900, "[" * 900 + "]" * 900, "{" * 1_000, "a" + "[0]" * 600,
        "a" + ".f()" * 400, "x?" * 600 + "1", "size(" * 300 + "1" + ")" * 300, "has(" * 400,
        "l" + ".map(x, x)" * 150, "!(" * 600, "-(" * 600,
    ],
)  # fmt: skip
def test_deep_nesting_is_refused(text):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.code == "expression_invalid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+".join(["1"] * 900), 900), ("!" * 1_000 + "true", True), ("-" * 1_000 + "1", 1),
        ("||".join(["false"] * 280), False), ("false?1:" * 240 + "2", 2),
        ("'a'" + ".trim()" * 70, "a"), ("(" * 35 + "1" + ")" * 35, 1),
    ],
)  # fmt: skip
def test_long_but_flat_is_fine(text, expected):
    assert attempt(text) == expected


def test_an_expression_has_at_most_two_thousand_characters():
    assert MAX_LENGTH == 2_000
    assert attempt("1" + " " * 1_999) == 1
    with pytest.raises(ExpressionError, match="at most 2,000 characters") as caught:
        compile_expression("1" + " " * 2_000)
    assert caught.value.reason == "too_long"


def test_the_budget_is_not_caught_by_or():
    error = attempt("l.filter(x, -1 in L || true).size() > 0 || true")
    assert error.reason == "limit"


def test_data_nested_deeply_is_refused_and_not_a_crash():
    deep = []
    for _ in range(50_000):
        deep = [deep]
    for text in ("d == d", "{'a': d}", "[d] == [d]", "d in [d]"):
        with pytest.raises(ExpressionError):
            compile_expression(text).evaluate({"d": deep})


def test_threads_share_a_program_and_not_its_state():
    condition = compile_condition("l.filter(x, x < n).size() == n && l.map(x, x + n)[0] == n")
    wrong = []

    def work(n):
        wrong.extend(n for _ in range(50) if not condition.evaluate({"l": DATA["l"], "n": n}))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_compiling_twice_gives_the_same_program():
    assert compile_condition("input.a > 1") is compile_condition("input.a > 1")


PIECES = st.sampled_from(
    ["l", "t", "s", "L", "rows", "x", "1", "0", "1.5", "2u", "'a'", "''", "null", "true", "[", "]",
     "(", ")", "{", "}", ".", ",", ":", "?", "+", "-", "*", "/", "%", "&&", "||", "!", "==", "<",
     ">=", " in ", ".map(x,", ".filter(x,", ".all(x,", ".exists(x,", ".size()", ".matches(",
     ".split(", ".join(", ".replace(", "string(", "int(", "has(", ".id", "[0]", "['a']", "steps"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=25).map("".join))
@example("'a'.matches('(a*)*b')")
@example("l.map(x,[x,x]).map(x,[x,x])==l")
def test_no_text_raises_anything_else_or_takes_long(text):
    attempt(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_characters_raise_anything_else(text):
    attempt(text)

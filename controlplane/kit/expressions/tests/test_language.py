"""The language: what expressions give, and what they refuse."""

from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import pytest

from controlplane.kit.expressions import ExpressionError, compile_condition, compile_expression

CONTEXT = {
    "input": {"city": "Oslo", "n": 5, "x": 1.5, "none": None, "list": [3, 1, 2], "a b": {"c": 7}},
    "steps": {"a": {"output": {"temp": 21, "rows": [{"id": 1, "ok": True}, {"id": 2, "ok": False}]},
                    "status": "succeeded", "error": None},
              "skipped": {"output": None, "status": "skipped", "error": None}},
}  # fmt: skip


def value(text, context=CONTEXT):
    return compile_expression(text).evaluate(context)


def failure(text, context=CONTEXT):
    with pytest.raises(ExpressionError) as caught:
        value(text, context)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 / 2", 3), ("-7 / 2", -3), ("7 % 3", 1),
        ("-7 % 3", -1), ("7.0 / 2.0", 3.5), ("-input.n", -5), ("--5", 5), ("1 - -1", 2),
        ("0x10", 16), ("1e3", 1000.0), (".5", 0.5), ("5u + 2u", 7), ("'a' + 'b'", "ab"),
        ("[1] + [2]", [1, 2]), ("-9223372036854775808", -(2**63)), ("1 - 2 - 3", -4),
        ("true ? 1 : 2", 1), ("false ? 1 : true ? 2 : 3", 2), ("!true", False), ("!!true", True),
        ("1 // a comment", 1), ("// first\n 2", 2), ("[1, 2,]", [1, 2]), ("{'a': 1,}", {"a": 1}),
        ("input.city", "Oslo"), ("input['city']", "Oslo"), ('input["a b"].c', 7),
        ("steps.a.output.rows[1].id", 2), ("input.list[0]", 3), ("{'k': [1]}.k[0]", 1),
        ("input.none", None), ("steps.skipped.output", None),
    ],
)  # fmt: skip
def test_values(text, expected):
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 == 1.0", True), ("1u == 1", True), ("1 < 1.5", True), ("2u > 1", True),
        ("1 in [1.0]", True), ("[1] == [1.0]", True), ("{'a': 1} == {'a': 1.0}", True),
        ("1 == '1'", False), ("1 == true", False), ("null == 0", False), ("null == null", True),
        ("[] == {}", False), ("'a' < 'b'", True), ("true > false", True), ("1 != 2", True),
        ("'Oslo' in input", False), ("'city' in input", True), ("5 in input", False),
        ("9007199254740993 == 9007199254740992.0", False), ("'a' == b'a'", False),
        ("[1, [2]] == [1, [2]]", True), ("[1, [2]] == [1, [3]]", False),
        ("input.none == null", True), ("{1: 2} == {1u: 2}", True),
    ],
)  # fmt: skip
def test_comparison_crosses_number_types_and_nothing_else(text, expected):
    assert value(text) is expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 + 1.0", "Cannot add int and double; write double(n)"),
        ("input.n * input.x", "Cannot multiply int and double"),
        ("1 + 1u", "Cannot add int and uint"),
        ("'a' + 1", "Cannot add string and int"),
        ("1 - 'a'", "Cannot subtract int and string"),
        ("1.5 % 1.0", "Cannot take the rest of double and double"),
        ("{} + {}", "Cannot add map and map"),
        ("-'a'", "Cannot negate string"),
        ("-1u", "Cannot negate uint"),
        ("1 < 'a'", "Cannot compare int with string"),
        ("null < 1", "Cannot compare null with int"),
        ("[1] < [2]", "Cannot compare list with list"),
        ("1 in 'abc'", "'in' needs a list or a map"),
        ("1 && true", "'&&' needs bools, not int"),
        ("'' || false", "'||' needs bools, not string"),
        ("!1", "'!' needs a bool"),
        ("1 ? 2 : 3", "'?' needs a bool"),
        ("[1].filter(x, x)", "condition of a comprehension is a bool"),
        ("'abc'.map(x, x)", "runs over a list or a map"),
        ("size(1)", "size() needs"),
        ("[1]['a']", "index of a list is an int"),
        ("[1][true]", "index of a list is an int"),
        ("'abc'[0]", "has no items"),
        ("{'a': 1}[[1]]", "key of a map"),
        ("{[1]: 1}", "A key is text or a whole number"),
        ("has([1].a)", "has() needs a map"),
    ],
)
def test_types_do_not_mix(text, says):
    error = failure(text)
    assert error.code == "expression_error"
    assert says in error.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("9223372036854775807 + 1", "64 bits"), ("-9223372036854775808 - 1", "64 bits"),
        ("-9223372036854775808 / -1", "64 bits"), ("4611686018427387904 * 2", "64 bits"),
        ("0u - 1u", "64 bits"), ("18446744073709551615u + 1u", "64 bits"),
        ("--9223372036854775808", "64 bits"), ("math.abs(-9223372036854775808)", "64 bits"),
        ("1 / 0", "Division by zero"), ("1 % 0", "Division by zero"), ("1u / 0u", "zero"),
        ("1.0 / 0.0", "NaN or infinity"), ("0.0 / 0.0", "NaN or infinity"),
        ("double('inf')", "NaN or infinity"), ("[double('nan')]", "NaN or infinity"),
        ("int(1e300)", "64 bits"), ("int(double('nan'))", "no int"), ("uint(-1)", "64 bits"),
        ("int('9223372036854775808')", "64 bits"), ("int('1_0')", "no int"), ("int('٣')", "no int"),
        ("double('1_0')", "no double"), ("bool('yes')", "no bool"), ("b'a'", "Bytes cannot leave"),
        ("string(b'\\xff')", "no UTF-8"), ("{1: 'a'}", "A key of a result is text"),
        ("{'a': 1, 'a': 2}", "there twice"), ("timestamp('yesterday')", "no timestamp"),
        ("timestamp('2026-02-30T00:00:00Z')", "no timestamp"), ("duration('5')", "no duration"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('10s')", ""),
        ("'a'.substring(5)", "outside"),
        ("'a'.substring(-1)", "outside"), ("18446744073709551615u", "64 bits"),
        ("timestamp('2026-01-01T00:00:00Z').getHours('Mars/Base')", "no time zone"),
        ("timestamp('2026-01-01T00:00:00Z').getHours('../../etc/passwd')", "no time zone"),
    ],
)  # fmt: skip
def test_what_has_no_value_says_why(text, says):
    error = failure(text)
    assert (error.code, error.missing) == ("expression_error", False)
    assert says in error.message
    assert error.expression == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("input.town", "input has no 'town'"),
        ("steps.a.output.wind.speed", "steps.a.output has no 'wind'"),
        ("steps.skipped.output.text", "steps.skipped.output is null and has no 'text'"),
        ("steps.later.output", "steps has no 'later'"),
        ("input.city.name", "input.city is of type string and has no 'name'"),
        ("input.list[3]", "A list of 3 has no item 3"),
        ("input.list[-1]", "no item -1"),
        ("input['town']", "input has no 'town'"),
        ("{'a': 1}['b']", "The map has no 'b'"),
        ("input.none[0]", "null has no item"),
        ("{'a': 1}.b", "has no 'b'"),
        ("[{'a': 1}].map(x, x.b)", "has no 'b'"),
    ],
)
def test_a_path_that_leads_nowhere_is_missing(text, says):
    error = failure(text)
    assert error.missing
    assert says in error.message


def test_an_unknown_name_is_not_a_missing_path():
    error = failure("nobody.home")
    assert (error.reason, error.missing) == ("unknown_name", False)
    assert "There is no 'nobody' here" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has(input.city)", True), ("has(input.town)", False), ("has(input.none)", True),
        ("has(steps.a.output.temp)", True), ("has(steps.skipped.output.text)", False),
        ("has({'a': 1}.a)", True), ("has(input.list[0].x) || true", True),
        ("input.list.all(i, i > 0)", True), ("input.list.exists(i, i > 2)", True),
        ("input.list.exists_one(i, i > 2)", True), ("input.list.existsOne(i, i > 1)", False),
        ("[].all(i, i > 0)", True), ("[].exists(i, true)", False),
        ("{'a': 1}.all(k, k == 'a')", True),
        ("steps.a.output.rows.exists(r, r.ok && r.id == 1)", True),
        ("false && 1 / 0 > 0", False), ("1 / 0 > 0 && false", False), ("1 / 0 > 0 || true", True),
        ("true || input.town", True), ("[0, 1].exists(i, 1 / i > 0)", True),
        ("[1, 0].all(i, 1 / i < 0)", False),
    ],
)  # fmt: skip
def test_conditions(text, expected):
    assert compile_condition(text).evaluate(CONTEXT) is expected


@pytest.mark.parametrize("text", ["true && 1 / 0 > 0", "[1, 0].all(i, 1 / i > 0)", "false || null"])
def test_an_error_that_decides_is_not_swallowed(text):
    with pytest.raises(ExpressionError):
        compile_condition(text).evaluate(CONTEXT)


@pytest.mark.parametrize("text", ["1", "'true'", "null", "input.list", "input.city"])
def test_a_condition_gives_a_bool_or_fails(text):
    with pytest.raises(ExpressionError, match="A condition is true or false") as caught:
        compile_condition(text).evaluate(CONTEXT)
    assert caught.value.code == "expression_error"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input.list.map(i, i * 2)", [6, 2, 4]), ("input.list.filter(i, i > 1)", [3, 2]),
        ("input.list.map(i, i > 1, i * 10)", [30, 20]), ("{'a': 1, 'b': 2}.map(k, k)", ["a", "b"]),
        ("steps.a.output.rows.filter(r, r.ok).map(r, r.id)", [1]),
        ("[[1, 2], [3]].map(l, l.size())", [2, 1]), ("input.list.map(input, input + 1)", [4, 2, 3]),
        ("[1].map(x, {'x': x, 'l': [x]})", [{"x": 1, "l": [1]}]),
    ],
)  # fmt: skip
def test_comprehensions(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size('äö😀')", 3), ("'abc'.size()", 3), ("size([1, 2])", 2), ("size({'a': 1})", 1),
        ("'abc'.contains('b')", True), ("'abc'.startsWith('ab')", True),
        ("'abc'.endsWith('c')", True),
        ("'a1'.matches('^[a-z][0-9]$')", True), ("matches('xay', 'a')", True),
        ("'Äb'.lowerAscii()", "Äb"), ("'aB'.upperAscii()", "AB"), ("' a '.trim()", "a"),
        ("'a,b,c'.split(',')", ["a", "b", "c"]), ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("'abc'.split('')", ["a", "b", "c"]), ("'abc'.split('', 2)", ["a", "bc"]),
        ("''.split(',')", [""]), ("'a'.split(',', 0)", []), ("['a', 'b'].join()", "ab"),
        ("['a', 'b'].join(', ')", "a, b"), ("'aaa'.replace('a', 'b', 2)", "bba"),
        ("'ab'.replace('', '-')", "-a-b-"), ("'abcd'.substring(1)", "bcd"),
        ("'abcd'.substring(1, 3)", "bc"), ("'abcb'.indexOf('b')", 1),
        ("'abcb'.lastIndexOf('b')", 3),
        ("'abc'.lastIndexOf('x')", -1), ("'abc'.lastIndexOf('')", 3), ("min(3, 1, 2)", 1),
        ("max([1, 2.5])", 2.5), ("math.greatest(1, 3)", 3), ("math.least([2, 1])", 1),
        ("math.abs(-2.5)", 2.5), ("math.ceil(1.2)", 2.0), ("math.floor(-1.2)", -2.0),
        ("math.round(2.5)", 3.0), ("math.round(-2.5)", -3.0), ("math.trunc(-1.7)", -1.0),
        ("math.floor(3)", 3), ("[1, 2, 3].sum()", 6), ("sum([0.5, 0.5])", 1.0), ("sum([])", 0),
        ("distinct([1, 1.0, 'a', 'a', null])", [1, "a", None]),
        ("int('-5')", -5), ("int(5.9)", 5), ("int(-5.9)", -5), ("int(5u)", 5), ("uint(5)", 5),
        ("double(3)", 3.0), ("double('1.5')", 1.5), ("string(5)", "5"), ("string(5.0)", "5"),
        ("string(0.1)", "0.1"), ("string(1e21)", "1000000000000000000000"),
        ("string(true)", "true"),
        ("string('a')", "a"), ("string(b'\\xc3\\xa4')", "ä"), ("bool('true')", True),
        ("size(bytes('ä'))", 2), ("size(b'\\xff\\x00')", 2), ("type(1)", "int"),
        ("type(1) == int", True), ("type(null) == null_type", True), ("type('a') == int", False),
        ("type(type(1)) == type", True), ("dyn(1)", 1),
    ],
)  # fmt: skip
def test_functions(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timestamp('2026-01-31T07:00:00+01:00')", "2026-01-31T06:00:00Z"),
        ("timestamp(0)", "1970-01-01T00:00:00Z"),
        ("timestamp('2026-01-31T07:00:00.123456789Z')", "2026-01-31T07:00:00.123456Z"),
        ("timestamp('2026-01-31T23:30:00Z') + duration('1h')", "2026-02-01T00:30:00Z"),
        ("duration('1h') + timestamp('2026-01-31T23:30:00Z')", "2026-02-01T00:30:00Z"),
        ("timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z')", "86400s"),
        ("timestamp('2026-01-02T00:00:00Z') - duration('1m')", "2026-01-01T23:59:00Z"),
        ("duration('1h30m')", "5400s"), ("duration('-2.5s')", "-2.5s"), ("duration('0')", "0s"),
        ("duration('100ms') + duration('1us')", "0.100001s"),
        ("timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-01T00:00:01Z')", True),
        ("duration('1m') == duration('60s')", True),
        ("timestamp('2026-03-05T06:07:08.009Z').getFullYear()", 2026),
        ("timestamp('2026-03-05T06:07:08.009Z').getMonth()", 2),
        ("timestamp('2026-03-05T06:07:08.009Z').getDate()", 5),
        ("timestamp('2026-03-05T06:07:08.009Z').getDayOfMonth()", 4),
        ("timestamp('2026-03-05T06:07:08.009Z').getDayOfWeek()", 4),
        ("timestamp('2026-03-05T06:07:08.009Z').getDayOfYear()", 63),
        ("timestamp('2026-03-05T06:07:08.009Z').getMinutes()", 7),
        ("timestamp('2026-03-05T06:07:08.009Z').getSeconds()", 8),
        ("timestamp('2026-03-05T06:07:08.009Z').getMilliseconds()", 9),
        ("timestamp('2026-07-01T12:00:00Z').getHours('Europe/Oslo')", 14),
        ("timestamp('2026-07-01T12:00:00Z').getHours('-03:30')", 8),
        ("duration('90m').getHours()", 1), ("duration('90m').getMinutes()", 90),
        ("duration('-90s').getMinutes()", -1), ("string(duration('90s'))", "90s"),
        ("int(timestamp('1970-01-01T00:01:00Z'))", 60),
    ],
)  # fmt: skip
def test_moments_and_durations(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"'a\'b'", "a'b"), (r'"a\"b"', 'a"b'), (r"'\n\t\\'", "\n\t\\"), (r"'\x41\u00e9'", "Aé"),
        (r"'\101'", "A"), (r"'\U0001F600'", "😀"), (r"r'\d+'", r"\d+"), ("'''a\n'b'''", "a\n'b"),
        ('"""a"b"""', 'a"b'), ("''", ""), ("R'\\'", "\\"), ("'${x}'", "${x}"),
    ],
)  # fmt: skip
def test_texts(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "empty"), ("   ", 0, "empty"), ("// only", 0, "empty"),
        ("1 +", 3, "ends too early"),
        ("(1", 2, "ends too early"), ("1)", 1, "Unexpected ')'"), ("a.", 2, "ends too early"),
        ("1 2", 2, "Unexpected 'value'"), ("a b", 2, "Unexpected 'b'"),
        ("a = b", 2, "Unexpected '='"),
        ("a ? b", 5, "ends too early"), ("a.true", 2, "Unexpected 'true'"),
        ("#", 0, "Unexpected '#'"),
        ("'abc", 0, "not closed"), ("'a\nb'", 0, "line break"), (r"'\q'", 0, "Unknown escape"),
        (r"'\ud800'", 0, "no character"), (r"'\u0000'", 0, "no character"),
        ("for", 0, "reserved word"),
        ("1e999", 0, "too large"), ("9223372036854775808", 0, "64 bits"),
        ("[1, , 2]", 4, "Unexpected"),
        ("18446744073709551616u", 0, "64 bits"), ("Point{x: 1}", 5, "no messages"),
        ("a?.b", 2, "'.'"),
        ("has(a)", 0, "has() takes one path"), ("has(a.b, c)", 0, "has() takes one path"),
        ("[1].map(x)", 4, "map() takes a variable"), ("[1].all(x.y, true)", 4, "takes a variable"),
        ("[1].filter(1, true)", 4, "takes a variable"), ("now()", 0, "There is no function now()"),
        ("a.sort()", 2, "There is no function sort()"), ("size()", 0, "other arguments"),
        ("size(1, 2)", 0, "other arguments"), ("math.sin(1)", 5, "no function math.sin()"),
        ("{'a' 1}", 5, "Unexpected"), ("b'\\u00e9'", 0, "Unknown escape"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_named_with_its_place(text, position, says):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    error = caught.value
    assert (error.code, error.position) == ("expression_invalid", position)
    assert says in error.message
    assert error.expression == text


@pytest.mark.parametrize(
    "text",
    [
        "[1].map(x, [2].map(y, y))", "[1].filter(x, [2].exists(y, y == x))",
        "[1].all(x, true || [x].all(y, true))", "{'a': [1].map(x, [1].map(x, x))}",
    ],
)  # fmt: skip
def test_no_comprehension_inside_a_comprehension(text):
    with pytest.raises(ExpressionError, match="inside a comprehension") as caught:
        compile_expression(text)
    assert caught.value.reason == "nested_comprehension"


@pytest.mark.parametrize("text", [None, 1, True, [], {}])
def test_a_condition_is_text(text):
    with pytest.raises(ExpressionError, match="A condition is text"):
        compile_condition(text)


def test_a_lone_surrogate_or_nul_is_no_expression():
    for text in ("'\ud800'", "'\x00'", "a\x00"):
        with pytest.raises(ExpressionError, match="no text"):
            compile_expression(text)


def test_money_ids_and_other_kinds_of_a_context_become_plain():
    context = {"cost": Decimal("0.25"), "id": UUID(int=1), "pair": (1, 2),
               "at": datetime(2026, 1, 1, tzinfo=UTC),
               "box": MappingProxyType({"a": Decimal(2)})}  # fmt: skip
    assert value("cost * 2.0", context) == 0.5
    assert value("id", context) == str(UUID(int=1))
    assert value("pair.map(x, x + 1)", context) == [2, 3]
    assert value("at + duration('1s')", context) == "2026-01-01T00:00:01Z"
    assert value("box.a == 2 && 'a' in box && has(box.a)", context) is True
    assert value("{'m': box}", context) == {"m": {"a": 2.0}}


def test_a_kind_that_has_no_place_is_refused():
    assert "has no place" in failure("x", {"x": object()}).message


@pytest.mark.parametrize(
    ("text", "references", "steps"),
    [
        ("steps.a.output.temp > input.n", {"steps.a.output.temp", "input.n"}, {"a"}),
        ("steps['a'].output", {"steps.a.output"}, {"a"}),
        ("steps.a.output.rows[0].id", {"steps.a.output.rows"}, {"a"}),
        ("input.list.map(i, i.x + steps.b.output.y)", {"input.list", "steps.b.output.y"}, {"b"}),
        ("has(steps.a.output.x)", {"steps.a.output.x"}, {"a"}),
        ("has(steps.a)", {"steps.a"}, {"a"}),
        ("input['a b'].c", {"input"}, set()),
        ("input.name.size()", {"input.name"}, set()),
        ("1 + 1", set(), set()),
        ("type(1) == int", set(), set()),
        ("steps.a.status == 'x' || steps.b.error == null", {"steps.a.status", "steps.b.error"},
         {"a", "b"}),
        ("[1].map(steps, steps.a)", set(), set()),
    ],
)  # fmt: skip
def test_references_are_the_paths_an_expression_reads(text, references, steps):
    expression = compile_expression(text)
    assert expression.references == references
    assert expression.steps == steps
    assert expression.names == {reference.split(".")[0] for reference in references}
    assert not expression.names_all_steps


@pytest.mark.parametrize("text", ["steps[input.x]", "size(steps)", "steps", "steps.map(s, s)"])
def test_steps_named_by_computation_are_told(text):
    assert compile_expression(text).names_all_steps

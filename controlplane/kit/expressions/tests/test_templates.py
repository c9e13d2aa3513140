"""Templates: `${…}` in texts, types kept where a text is one whole expression."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit.expressions import ExpressionError, compile_template

CONTEXT = {
    "input": {"city": "Oslo", "n": 5, "x": 1.5, "big": 1e21, "whole": 3.0, "yes": True,
              "none": None, "list": [1, "ä", 2.0], "map": {"k": [None]}},
    "steps": {"a": {"output": {"text": "hi"}}},
}  # fmt: skip


def render(value, **kwargs):
    return compile_template(value).render(CONTEXT, **kwargs)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("${input.n}", 5), ("${input.x}", 1.5), ("${input.whole}", 3.0), ("${input.yes}", True),
        ("${input.none}", None), ("${input.list}", [1, "ä", 2.0]), ("${ input.n + 1 }", 6),
        ("${input.city}", "Oslo"), ("${{'a': 1}}", {"a": 1}), ("${'}'}", "}"), ('${"{"}', "{"),
        ("${'a' + '}' + \"{\"}", "a}{"), ("${r'\\'}", "\\"),
        ("${{'}': {'{': 1}}}", {"}": {"{": 1}}),
        ("${'it\\'s }'}", "it's }"), ("${'''a}'b'''}", "a}'b"),
    ],
)  # fmt: skip
def test_a_whole_expression_keeps_its_type(template, expected):
    assert render(template) == expected
    assert type(render(template)) is type(expected)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("In ${input.city}!", "In Oslo!"), ("${input.n} ", "5 "), ("a${input.none}b", "ab"),
        ("${input.yes}${1 > 2}", "truefalse"), ("n=${input.n}", "n=5"), ("x=${input.x}", "x=1.5"),
        ("w=${input.whole}", "w=3"), ("b=${input.big}", "b=1000000000000000000000"),
        ("l=${input.list}", 'l=[1,"ä",2.0]'), ("m=${input.map}", 'm={"k":[null]}'),
        ("${input.city}${input.city}", "OsloOslo"), ("e=${''}", "e="), ("-${-0.5}", "--0.5"),
        ("s=${1e-7}", "s=0.0000001"),
    ],
)  # fmt: skip
def test_inside_a_text_values_become_text(template, expected):
    assert render(template) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$${input.n}", "${input.n}"), ("a $${ b", "a ${ b"), ("$${a} ${input.n}", "${a} 5"),
        ("$$${input.n}", "$${input.n}"), ("$ {a}", "$ {a}"), ("$5", "$5"), ("{a}", "{a}"),
        ("$", "$"),
        ("}", "}"), ("${input.n}$", "5$"), ("${'$${'}", "$${"),
    ],
)  # fmt: skip
def test_a_doubled_dollar_is_a_literal(template, expected):
    assert render(template) == expected


def test_values_of_any_depth_are_rendered_and_keys_are_not():
    template = {"${input.n}": ["${input.n}", {"a": "x${input.city}", "b": 1}], "c": None, "d": [[]]}
    assert render(template) == {"${input.n}": [5, {"a": "xOslo", "b": 1}], "c": None, "d": [[]]}


@pytest.mark.parametrize("value", [None, 1, 1.5, True, "text", [], {}, {"a": ["b", {"c": 1}]}])
def test_a_constant_is_given_back_as_it_is(value):
    template = compile_template(value)
    assert template.is_constant
    assert template.render({}) is value


def test_a_constant_with_a_literal_is_unescaped_once():
    template = compile_template({"a": ["$${x}"], "b": {"c": 1}})
    assert template.is_constant
    assert template.render({}) == {"a": ["${x}"], "b": {"c": 1}}


def test_constant_parts_beside_expressions_are_unescaped_too():
    assert render({"a": "${input.n}", "b": "$${x}", "c": ["$${y}"]}) == {
        "a": 5, "b": "${x}", "c": ["${y}"]
    }  # fmt: skip
    assert render(["${input.n}", "$${x}"]) == [5, "${x}"]


@pytest.mark.parametrize(
    "template",
    ["${input.town}", "${input.town.name}", "${input.list[9]}", "${input.none.x}",
    "${input.city.x}",
     "${input.town + 'a'}", "${steps.later.output}"],
)  # fmt: skip
def test_a_missing_path_is_null_where_asked_and_an_error_elsewhere(template):
    assert render({"a": template, "b": 1}, missing="null") == {"a": None, "b": 1}
    assert render(f"<{template}>", missing="null") == "<>"
    with pytest.raises(ExpressionError) as caught:
        render(template)
    assert (caught.value.code, caught.value.missing) == ("expression_error", True)


@pytest.mark.parametrize("template", ["${1 / 0}", "${nobody}", "${1 + 'a'}", "${b'x'}"])
def test_other_errors_are_errors_everywhere(template):
    with pytest.raises(ExpressionError):
        render(template, missing="null")


@pytest.mark.parametrize(
    ("template", "place", "reason"),
    [
        ("${", "", "unclosed"), ("${a", "", "unclosed"), ("${'a}", "", "syntax"),
        ({"a": ["x", "${{a}"]}, "a.1", "unclosed"), ("${}", "", "syntax"), ("${ }", "", "syntax"),
        ({"a": {"b": "${1 +}"}}, "a.b", "syntax"), (["${a}", "b ${a b}"], "1", "syntax"),
        ("${" + "a" * 2001 + "}", "", "too_long"), ("${'" + "a" * 5000 + "'}", "", "unclosed"),
        ("${[1].map(x, [1].map(y, y))}", "", "nested_comprehension"),
    ],
)  # fmt: skip
def test_a_bad_expression_is_named_with_its_place(template, place, reason):
    with pytest.raises(ExpressionError) as caught:
        compile_template(template)
    error = caught.value
    assert (error.code, error.place, error.reason) == ("expression_invalid", place, reason)
    assert error.expression or reason == "unclosed" or template in ("${}", "${ }")


def test_a_template_knows_what_it_reads():
    template = compile_template({"a": "${steps.a.output.x} ${input.n}", "b": ["${steps.b.status}"]})
    assert template.steps == {"a", "b"}
    assert template.references == {"steps.a.output.x", "input.n", "steps.b.status"}
    assert [place for place, _ in template.expressions] == ["a", "a", "b.0"]
    assert not template.is_constant


def test_a_template_nested_too_deeply_is_refused():
    value = "${input.n}"
    for _ in range(70):
        value = [value]
    with pytest.raises(ExpressionError) as caught:
        compile_template(value)
    assert caught.value.reason == "too_deep"


def test_a_rendering_shares_one_budget():
    bomb = "${" + "+".join(["input.s"] * 150) + "}"
    template = compile_template([bomb] * 50)
    with pytest.raises(ExpressionError) as caught:
        template.render({"input": {"s": "a" * 3000}})
    assert caught.value.reason == "limit"


def test_a_part_of_the_context_named_often_is_weighed_each_time():
    context = {"input": {"s": "a" * 1_000_000, "l": list(range(200_000))}}
    assert compile_template(["${input.s}"] * 10).render(context)[9] == "a" * 1_000_000
    for part in ("${input.s}", "${input.l}", "<${input.s}>", "${[input.s]}"):
        with pytest.raises(ExpressionError) as caught:
            compile_template([part] * 40).render(context)
        assert caught.value.reason == "limit"


def test_a_part_of_the_context_is_handed_on_not_copied():
    value = compile_template({"a": "${input.list}"}).render(CONTEXT)["a"]
    assert value is CONTEXT["input"]["list"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab${}'\"\\ .", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a$", max_size=2), inner),
    max_leaves=8,
)


@given(JSON)
def test_no_value_raises_anything_but_an_expression_error(value):
    with contextlib.suppress(ExpressionError):
        compile_template(value).render(CONTEXT)


@given(JSON)
def test_escaping_every_dollar_brace_gives_the_value_back(value):
    escaped = json.loads(json.dumps(value).replace("${", "$${"))
    template = compile_template({"v": escaped, "n": 1})
    assert template.is_constant
    keys_kept = json.dumps(template.render({})["v"]).replace("$${", "${")
    assert keys_kept == json.dumps(value).replace("$${", "${")

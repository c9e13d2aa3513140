"""Expressions name what comes before them, and bodies see what is around them."""

import pytest

from workflows.graph import check
from workflows.tests.definitions import chain, edge, graph, step


def faults(definition):
    return [(fault.node, fault.field, fault.code) for fault in check(definition)]


def body(*nodes, **more):
    return {"nodes": list(nodes), **more}


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("steps.a.output", []), ("steps.a.status", []), ("steps.a.error.message", []),
        ("steps.b.output.x", []), ("steps['a'].output.x", []), ("input.x + 1", []), ("run.id", []),
        ("env.variables.HOST", []), ("env", []), ("steps.a", []),
        ("steps.c.output", ["not_an_ancestor"]), ("steps.d.output", ["not_an_ancestor"]),
        ("steps.e.output", ["not_an_ancestor"]), ("steps.z.output", ["unknown_step"]),
        ("steps.a.result", ["unknown_field"]), ("env.secrets.KEY", ["unknown_field"]),
        ("item", ["unknown_name"]), ("index", ["unknown_name"]), ("previous", ["unknown_name"]),
        ("stepz.a.output", ["unknown_name"]), ("steps[input.x].output", ["step_by_computation"]),
        ("steps.map(s, s)", ["step_by_computation"]),
        ("steps.z.output + steps.c.output", ["not_an_ancestor", "unknown_step"]),
        ("[1].map(item, item)", []), ("has(steps.z.output)", ["unknown_step"]),
        ("1 +", ["expression_invalid"]), ("now()", ["expression_invalid"]),
        ("[1].map(x, [1].map(y, y))", ["nested_comprehension"]),
        ("1" + " " * 2_000, ["expression_too_long"]),
    ],
)  # fmt: skip
def test_a_step_names_its_ancestors(reads, expected):
    nodes = [step("a"), step("b"), step("c", set={"v": [f"${{{reads}}}"]}), step("d"), step("e")]
    definition = graph(*nodes, edges="a>b>c>d a>e")
    assert faults(definition) == [("c", "set.v.0", code) for code in expected]


def test_each_bad_expression_of_a_step_is_named():
    values = {"x": "${1 +}", "y": ["ok", "${steps.z.output} and ${nobody}"], "z": "${input.ok}"}
    assert faults(graph(step("a", set=values))) == [
        ("a", "set.x", "expression_invalid"),
        ("a", "set.y.1", "unknown_step"),
        ("a", "set.y.1", "unknown_name"),
    ]


def test_the_message_tells_where_in_the_text():
    [fault] = check(graph(step("a", set={"v": "${input.x +}"})))
    assert fault.message == "The expression ends too early. At character 10 of 'input.x +'."


def test_an_edge_may_read_its_own_source():
    nodes = [step("a"), step("b"), step("c")]
    for reads, expected in (("a", []), ("b", []), ("c", ["not_an_ancestor"])):
        edges = [edge("a", "b"), edge("b", "c", f"steps.{reads}.status == 'x'")]
        found = faults(graph(*nodes, edges=edges))
        assert found == [("b", "edges.1.when", code) for code in expected]


def test_the_output_may_read_every_step():
    output = {"x": ["${steps.a.output}", "${steps.c.output}"], "y": "${steps.z.output.k}"}
    found = faults({**chain("a", "b", "c"), "output": output})
    assert found == [(None, "output.y", "unknown_step")]


@pytest.mark.parametrize("output", [None, 1, "text", "${steps.a.output}", ["${input.x}"], {}])
def test_the_output_is_any_value(output):
    assert faults({**chain("a"), "output": output}) == []


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("item.name", []), ("index + 1", []), ("steps.a.output", []), ("steps.k.output", []),
        ("input.x", []), ("previous", ["unknown_name"]), ("steps.m.output", ["not_an_ancestor"]),
        ("steps.z.output", ["not_an_ancestor"]), ("steps.l.output", ["not_an_ancestor"]),
        ("steps.nobody.output", ["unknown_step"]),
    ],
)  # fmt: skip
def test_a_body_sees_what_is_before_its_owner(reads, expected):
    inner = body(
        step("k"), step("j", set={"v": f"${{{reads}}}"}), step("l"), edges=[edge("k", "j")],
        output="${steps.j.output}",
    )  # fmt: skip
    definition = graph(step("a"), step("m", "map", body=inner), step("z"), edges="a>m>z")
    assert faults(definition) == [("j", "set.v", code) for code in expected]


def test_a_loop_knows_index_and_previous_in_body_and_condition():
    inner = body(step("k", set={"v": "${previous} ${index}"}), output="${steps.k.output}")
    loop = step("l", "loop", body=inner, **{"while": "index < 3 || previous.done"})
    assert faults(graph(loop)) == []
    inner["nodes"][0]["set"] = {"v": "${item}"}
    assert faults(graph(loop)) == [("k", "set.v", "unknown_name")]


def test_the_condition_of_a_loop_does_not_see_inside_its_body():
    loop = step("l", "loop", **{"while": "steps.k.output.more"})
    assert faults(graph(loop)) == [("l", "while", "unknown_step")]
    assert faults(graph(step("l", "loop", **{"while": "item"}))) == [("l", "while", "unknown_name")]


def test_nothing_outside_sees_into_a_body():
    definition = graph(step("m", "map"), step("z", set={"v": "${steps.k.output}"}), edges="m>z")
    assert faults(definition) == [("z", "set.v", "unknown_step")]


def test_bodies_inside_bodies_see_all_around_them():
    innermost = body(
        step("i", set={"v": "${item} ${previous} ${steps.a.output} ${steps.k.status}"})
    )
    inner = body(
        step("k"), step("m2", "map", over="${previous}", body=innermost), edges=[edge("k", "m2")]
    )
    loop = step("l", "loop", body=inner)
    assert faults(graph(step("a"), loop, edges="a>l")) == []


def test_ids_of_bodies_differ_from_outer_ids_and_from_each_other():
    inner = body(step("a"), step("k"), step("k"))
    definition = graph(step("a"), step("m", "map", body=inner))
    assert faults(definition) == [("a", "id", "duplicate_id"), ("k", "id", "duplicate_id")]
    deeper = body(step("m2", "map", body=body(step("m"))))
    assert faults(graph(step("m", "map", body=deeper))) == [("m", "id", "duplicate_id")]


def test_two_bodies_may_use_the_same_ids():
    assert faults(graph(step("m", "map"), step("n", "map"))) == []


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ({"nodes": [], "edges": []}, [("m", "body.nodes", "required")]),
        ({"nodes": [1]}, [("m", "body.nodes.0", "type")]),
        ({"nodes": [step("k")], "input_schema": {}}, [("m", "body.input_schema", "unknown_field")]),
        ({"nodes": [step("k")], "edges": [edge("k", "k")]}, [("k", "body.edges", "cycle")]),
        ({"nodes": [step("k")], "edges": [edge("m", "k")]},
         [("m", "body.edges.0.from", "unknown_node")]),
        ({"nodes": [step("k")], "output": "${steps.z.output}"},
         [("m", "body.output", "unknown_step")]),
        ({"nodes": [step("k", "tool", tool=1)]}, [("k", "tool", "type")]),
    ],
)  # fmt: skip
def test_faults_inside_bodies(inner, expected):
    assert faults(graph(step("m", "map", body=inner))) == expected


def test_bodies_are_nested_five_deep_at_most():
    def nested(levels):
        inner = body(step(f"k{levels}"))
        for level in reversed(range(levels)):
            inner = body(step(f"m{level}", "map", body=inner))
        return inner

    assert faults(nested(5)) == []
    assert faults(nested(6)) == [("m5", "body", "too_deep")]
    assert faults(nested(60))[0] == ("m5", "body", "too_deep")
    assert faults(nested(120)) == [(None, "", "not_storable")]


def test_a_cycle_does_not_hide_other_faults_nor_invent_some():
    reader = step("c", set={"v": "${steps.a.output} ${steps.nobody.output}"})
    definition = graph(step("a"), step("b"), reader, edges="a>b>a b>c")
    assert [fault[2] for fault in faults(definition)] == ["cycle", "unknown_step"]

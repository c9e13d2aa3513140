"""Positions are taken out of a definition and put back; the difference of definitions is named."""

import pytest
from hypothesis import given

from workflows.graph import definition_sha256
from workflows.graph.difference import difference
from workflows.graph.layout import split_layout, uses_of, with_layout
from workflows.tests.definitions import chain, edge, graph, step
from workflows.tests.test_hostile import graphs

AT = {"x": 1, "y": 2}


def test_positions_are_kept_apart_and_put_back():
    inner = graph(step("k", position={"x": 3, "y": 4}), step("j"))
    definition = graph(step("a", position=AT), step("m", "map", body=inner), step("b"), edges="a>m")
    logic, layout = split_layout(definition)
    assert layout == {"a": AT, "m/k": {"x": 3, "y": 4}}
    assert "position" not in repr(logic)
    assert with_layout(logic, layout) == definition


def test_a_position_of_a_step_that_is_gone_is_not_drawn():
    assert with_layout(chain("a"), {"b": AT}) == chain("a")


def test_a_position_in_data_is_data():
    definition = graph(step("a", set={"position": AT}))
    assert split_layout(definition) == (definition, {})


@given(graphs())
def test_splitting_and_drawing_keep_the_logic(definition):
    logic, layout = split_layout(definition)
    drawn = with_layout(logic, layout)
    assert repr(split_layout(drawn)[0]) == repr(logic)
    if definition_sha256(definition) != definition_sha256(drawn):
        # Only a position that is no object, a fault, is part of the logic.
        assert "position" in repr(logic)


@pytest.mark.parametrize(
    "definition", [{}, {"nodes": None}, {"nodes": [1, None, {}, {"id": 1}, {"body": {}}]}]
)
def test_drafts_with_faults_pass_through(definition):
    logic, layout = split_layout(definition)
    assert (logic, layout) == (definition, {})
    assert with_layout(definition, {"a": AT}) == definition
    assert uses_of(definition) == []


def test_what_is_no_name_is_no_use():
    nodes = [
        step("a", "tool", tool=1),
        step("b", "tool", tool=""),
        step("c", "agent", agent="x" * 64),
    ]
    assert uses_of(graph(*nodes)) == []
    assert uses_of(None) == []


def test_no_difference():
    found = difference(chain("a", "b"), chain("a", "b"))
    assert found["changes"] == []
    assert found["nodes"] == found["edges"] == {"added": [], "removed": [], "changed": []}


def test_moving_a_step_in_the_list_is_no_difference():
    one = graph(step("a"), step("b"), edges="a>b")
    other = graph(step("b"), step("a"), edges="a>b")
    assert difference(one, other)["changes"] == []


def test_each_difference_has_its_path():
    before = graph(step("a", "tool", arguments={"q": 1}), step("b"), edges=[edge("a", "b")])
    after = graph(
        step("a", "tool", arguments={"q": 2}, name="A"), step("c"),
        edges=[edge("a", "c", "true")], output={"x": 1},
    )  # fmt: skip
    found = difference(before, after)
    assert found["nodes"] == {"added": ["c"], "removed": ["b"], "changed": ["a"]}
    assert found["edges"] == {"added": ["a → c"], "removed": ["a → b"], "changed": []}
    assert [(change["path"], change["kind"]) for change in found["changes"]] == [
        ("edges.a → b", "removed"), ("edges.a → c", "added"), ("nodes.a.arguments.q", "changed"),
        ("nodes.a.name", "added"), ("nodes.b", "removed"), ("nodes.c", "added"),
        ("output", "added"),
    ]  # fmt: skip


def test_bodies_are_compared_by_step_too():
    one = graph(step("m", "map", body=graph(step("k", set={"v": 1}), step("j"))))
    other = graph(step("m", "map", body=graph(step("j"), step("k", set={"v": 2}))))
    [change] = difference(one, other)["changes"]
    assert (change["path"], change["before"], change["after"]) == (
        "nodes.m.body.nodes.k.set.v",
        1,
        2,
    )


@pytest.mark.parametrize("junk", [None, [], {}, {"nodes": [1, {}], "edges": [None, {"from": 1}]}])
def test_junk_differs_without_raising(junk):
    assert isinstance(difference(junk, chain("a"))["changes"], list)
    assert difference(junk, junk)["changes"] == []

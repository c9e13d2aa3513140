"""No definition raises or takes long, whatever it holds; what has no faults compiles."""

import copy
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.kit.expressions import ExpressionError
from tests.support.pace import laps
from workflows.graph import (
    KINDS,
    Fault,
    check,
    compile_graph,
    definition_sha256,
    edge_outcomes,
    render_fields,
)
from workflows.graph.shape import Shape
from workflows.tests.definitions import Known, edge, graph, step

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
ids = st.sampled_from(["a", "b", "c", "d", "e"])
texts = st.sampled_from(
    ["", "text", "${input.x}", "${steps.a.output}", "${steps.b.output.y} z", "${item}", "${1 +}",
     "${", "$${x}", "${previous}", "${steps[input.x]}", "true",
     "steps.a.status == 'x'", "index < 2", "fail", "continue", "noop", "weather", "packer",
     "other", "2026-01-01T00:00:00Z"]
)  # fmt: skip
values = st.one_of(
    texts, ids, junk, st.integers(-2, 5), st.dictionaries(ids, texts, max_size=2),
    st.lists(texts, max_size=2), st.just({"type": "object"}),
)  # fmt: skip


@st.composite
def steps(draw, node_id, depth):
    kind = draw(st.sampled_from(list(KINDS)))
    node = step(node_id, kind)
    if kind == "decision":
        node["cases"] = draw(
            st.lists(st.fixed_dictionaries({"when": texts, "to": ids}), min_size=1, max_size=2)
        )
    if kind in ("map", "loop"):
        node["body"] = draw(graphs(depth + 1)) if depth < 2 else {"nodes": [step("z")]}
    if draw(st.booleans()):
        names = [*KINDS[kind], "retry", "timeout_seconds", "on_error", "join", "position", "colour"]
        node[draw(st.sampled_from(names))] = draw(values)
    return node


@st.composite
def graphs(draw, depth=0):
    """Mostly sound: edges lead forward and ids differ, with a fault here and there."""
    names = [f"{'kj'[depth - 1]}{node}" if depth else node for node in "abc"][
        : draw(st.integers(0, 3))
    ]
    numbers = draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3, unique=True)
    )
    edges = [
        edge(
            (names + ["e"] * 4)[min(pair)], (names + ["e"] * 4)[max(pair)], draw(st.none() | texts)
        )
        for pair in numbers
        if pair[0] != pair[1]
    ]
    made = {"nodes": [draw(steps(name, depth)) for name in names], "edges": edges}
    more = st.dictionaries(st.sampled_from(["output", "nodes", "input_schema"]), values, max_size=1)
    return made | (draw(more) if draw(st.integers(0, 3)) == 0 else {})


CONTEXT = {
    "input": {"x": 1}, "item": 1, "index": 0, "previous": None, "run": {}, "env": {"variables": {}},
    "steps": {node: {"output": {"y": 1}, "status": "succeeded", "error": None} for node in "abcde"},
}  # fmt: skip


def walk(compiled):
    """Use everything of a compiled graph."""
    assert set(compiled.order) == set(compiled.nodes) == set(compiled.out) == set(compiled.into)
    for node in compiled.nodes.values():
        try:
            render_fields(node, CONTEXT)
            for status in ("succeeded", "failed", "skipped"):
                found = edge_outcomes(compiled, node.id, status, {"y": 1}, CONTEXT)
                assert set(found) == set(compiled.out[node.id])
        except ExpressionError:
            pass
        if node.body is not None:
            walk(node.body)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_a_definition_without_faults_compiles_and_runs(definition):
    before = copy.deepcopy(definition)
    found = check(definition, Known(), "mine")
    assert all(isinstance(fault, Fault) and fault.message for fault in found)
    assert repr(definition) == repr(before)
    if not found:
        walk(compile_graph(definition))


@settings(max_examples=300, deadline=None)
@given(junk | st.fixed_dictionaries({"nodes": junk, "edges": junk}) | st.binary())
def test_junk_has_faults_and_raises_nothing(value):
    assert check(value)


@settings(max_examples=100, deadline=None)
@given(graphs(), st.randoms())
def test_the_order_of_keys_does_not_change_the_hash(definition, random):
    def shuffled(value):
        if isinstance(value, dict):
            keys = list(value)
            random.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    if not [fault for fault in check(definition) if fault.code == "not_storable"]:
        assert definition_sha256(shuffled(definition)) == definition_sha256(definition)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14))
def test_order_and_ancestors_are_those_of_the_plain_search(pairs):
    names = [f"n{i}" for i in range(8)]
    shape = Shape(names, [(names[a], names[b]) for a, b in pairs])
    reach = {a: {b for x, b in pairs if x == a} for a in range(8)}
    for _ in range(8):
        reach = {a: found.union(*(reach[b] for b in found)) for a, found in reach.items()}
    if any(a in reach[a] for a in reach):
        around = shape.cycle
        assert around[0] == around[-1]
        assert all((names.index(a), names.index(b)) in pairs for a, b in pairwise(around))
        return
    assert shape.cycle == []
    place = {node: number for number, node in enumerate(shape.order)}
    assert all(place[names[a]] < place[names[b]] for a, b in pairs)
    for a in range(8):
        for b in range(8):
            assert shape.is_ancestor(names[b], names[a]) == (b in reach[a])


def checked(definition):
    """(laps it took, faults found)."""
    return laps(lambda: check(definition, Known(), "mine"))


def test_ten_thousand_steps_are_answered_at_once():
    definition = graph(*(step(f"n{i}") for i in range(10_000)), edges=[])
    took, found = checked(definition)
    assert [fault.code for fault in found] == ["too_many_nodes"]
    assert took < 15


def test_a_dense_graph_is_checked_in_time():
    ids = [f"n{i}" for i in range(2_000)]
    edges = [edge(ids[i], ids[j]) for i in range(2_000) for j in range(i + 1, min(i + 10, 2_000))]
    nodes = [step(node, set={"v": "${steps.n0.output}"}, on_error="n1999") for node in ids[:-1]]
    took, found = checked(graph(*nodes, step("n1999"), edges=edges))
    assert {fault.code for fault in found} == {"not_an_ancestor"}
    assert took < 60


def test_many_different_expressions_are_checked_in_time():
    values = [f"${{input.x{i} + {i}}}" for i in range(19_000)]
    took, found = checked(graph(step("a", set={"v": values})))
    assert found == []
    assert took < 180


def test_bombs_of_depth_are_answered_at_once():
    value = {}
    for _ in range(240):
        value = {"a": value}
    for definition in (
        graph(step("a", set=value)), graph(step("a", "tool", arguments=value)),
        {**graph(step("a")), "output": value}, {**graph(step("a")), "input_schema": value},
        graph(step("a", "map", body=value)),
    ):  # fmt: skip
        took, _ = checked(definition)
        assert took < 15

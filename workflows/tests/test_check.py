"""What is wrong with a definition is named: the step, the field, the code."""

import math

import pytest

from workflows.graph import KINDS, check
from workflows.tests.definitions import chain, edge, graph, step


def faults(definition):
    return [(fault.node, fault.field, fault.code) for fault in check(definition)]


def faults_of(**fields):
    """Faults of one step, as (field, code)."""
    kind = fields.pop("kind", "transform")
    found = check(graph(step("a", kind, **fields)))
    assert all(fault.node == "a" for fault in found)
    return [(fault.field, fault.code) for fault in found]


EXAMPLE = {
    "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]
    },
    "nodes": [
        {"id": "forecast", "kind": "tool", "name": "Get the forecast", "tool": "weather",
         "arguments": {"q": "${input.city}"}, "timeout_seconds": 20, "on_error": "fail",
         "retry": {"max_attempts": 3, "backoff_seconds": 1, "max_backoff_seconds": 60}},
        {"id": "advise", "kind": "agent", "agent": "packer",
         "prompt": "What should I pack for ${steps.forecast.output.summary}?"},
        {"id": "check", "kind": "approval", "title": "Send this advice?", "quorum": 1,
         "show": "${steps.advise.output.text}", "due_seconds": 86400, "on_timeout": "reject"},
    ],
    "edges": [
        {"from": "forecast", "to": "advise"},
        {"from": "advise", "to": "check", "when": "steps.advise.output.text.size() > 0"},
    ],
    "output": {"advice": "${steps.advise.output.text}"},
}  # fmt: skip


def test_the_example_of_the_contract_has_no_faults():
    assert check(EXAMPLE) == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "decision"])
def test_every_kind_has_a_valid_form(kind):
    assert check(graph(step("a", kind))) == []


@pytest.mark.parametrize(
    "definition", [None, 1, "x", [], True, [{"nodes": []}], math.nan, b"x", object()]
)
def test_what_is_no_object_is_one_fault(definition):
    assert faults(definition) == [(None, "", "type")]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, "\x00", "\ud800", 2**64, b"x", {1: 2}, object()]
)
def test_what_cannot_be_stored_is_one_fault(value):
    assert faults(graph(step("a", set={"x": value}))) == [(None, "", "not_storable")]


def test_a_definition_nested_without_end_is_one_fault():
    value = []
    for _ in range(50_000):
        value = [value]
    assert faults(graph(step("a", set={"x": value}))) == [(None, "", "not_storable")]


@pytest.mark.parametrize("nodes", [None, [], {}, "a", 1, False])
def test_a_graph_has_steps(nodes):
    assert [fault[:2] for fault in faults({"nodes": nodes})] == [(None, "nodes")]
    assert faults({}) == [(None, "nodes", "required")]


@pytest.mark.parametrize("field", ["node", "steps", "name", "timeout_seconds", ""])
def test_unknown_fields_of_a_definition(field):
    assert faults({**chain("a"), field: 1}) == [(None, field, "unknown_field")]


@pytest.mark.parametrize("node", [None, 1, "a", [], True])
def test_a_step_is_an_object(node):
    assert faults({"nodes": [step("a"), node]}) == [(None, "nodes.1", "type")]


@pytest.mark.parametrize(
    "node_id", [None, "", "A", "1a", "_a", "a-b", "a b", "a.b", "ä", "a\n", 1, ["a"], "a" * 64]
)
def test_an_id_that_cannot_be_used(node_id):
    found = faults({"nodes": [{"id": node_id, "kind": "fail", "message": "x"}]})
    assert found == [(None, "nodes.0.id", "invalid_id")]


def test_an_id_at_its_longest():
    assert faults(graph(step("a" * 63), step("z9_"))) == []


def test_two_steps_of_one_id():
    assert faults(graph(step("a"), step("a"), step("b"))) == [("a", "id", "duplicate_id")]


@pytest.mark.parametrize("kind", ["http", "", "TOOL", "Map", 1, ["tool"], {}])
def test_unknown_kinds(kind):
    assert faults({"nodes": [{"id": "a", "kind": kind}]}) == [("a", "kind", "unknown_kind")]
    assert faults({"nodes": [{"id": "a"}]}) == [("a", "kind", "required")]


@pytest.mark.parametrize("kind", list(KINDS))
def test_unknown_fields_of_every_kind(kind):
    found = faults({"nodes": [{"id": "a", "kind": kind, "colour": "red"}]})
    assert ("a", "colour", "unknown_field") in found


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        ("tool", {"tool"}), ("agent", {"agent", "prompt"}), ("transform", {"set"}),
        ("decision", {"cases"}), ("map", {"over", "body"}), ("loop", {"body", "while"}),
        ("approval", {"title"}), ("form", {"title", "schema"}), ("wait", {"seconds"}),
        ("signal", {"name"}), ("workflow", {"workflow"}), ("fail", {"message"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("null", [False, True])
def test_required_fields_of_every_kind(kind, required, null):
    node = {"id": "a", "kind": kind}
    if null:
        node |= dict.fromkeys(required)
    assert set(faults({"nodes": [node]})) == {("a", field, "required") for field in required}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "decision"])
def test_null_means_the_default_in_optional_fields(kind):
    own = step("a", kind)
    optional = dict.fromkeys(name for name in KINDS[kind] if name not in own)
    common = dict.fromkeys(
        ("retry", "timeout_seconds", "on_error", "join", "position")
        + (("name",) * (kind != "signal"))
    )
    assert faults(graph({**own, **optional, **common})) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": 1}, [("name", "type")]),
        ({"name": "x" * 201}, [("name", "too_long")]),
        ({"timeout_seconds": 0}, [("timeout_seconds", "range")]),
        ({"timeout_seconds": -1}, [("timeout_seconds", "range")]),
        ({"timeout_seconds": 31 * 86400}, [("timeout_seconds", "range")]),
        ({"timeout_seconds": "20"}, [("timeout_seconds", "type")]),
        ({"timeout_seconds": True}, [("timeout_seconds", "type")]),
        ({"timeout_seconds": 0.5}, []),
        ({"retry": 3}, [("retry", "type")]),
        ({"retry": {}}, []),
        ({"retry": {"max_attempts": None}}, []),
        ({"retry": {"max_attempts": 0}}, [("retry.max_attempts", "range")]),
        ({"retry": {"max_attempts": 101}}, [("retry.max_attempts", "range")]),
        ({"retry": {"max_attempts": 1.5}}, [("retry.max_attempts", "type")]),
        ({"retry": {"max_attempts": "3"}}, [("retry.max_attempts", "type")]),
        ({"retry": {"backoff_seconds": -1}}, [("retry.backoff_seconds", "range")]),
        ({"retry": {"max_backoff_seconds": 86401}}, [("retry.max_backoff_seconds", "range")]),
        ({"retry": {"attempts": 3}}, [("retry.attempts", "unknown_field")]),
        ({"join": "some"}, [("join", "choice")]),
        ({"join": 1}, [("join", "choice")]),
        ({"join": "any"}, []),
        ({"position": {"x": 1.5, "y": -2}}, []),
        ({"position": {"x": "1"}}, [("position.x", "type")]),
        ({"position": {"z": 1}}, [("position.z", "unknown_field")]),
        ({"position": [1, 2]}, [("position", "type")]),
        ({"on_error": "continue"}, []),
        ({"on_error": 1}, [("on_error", "type")]),
        ({"on_error": "nobody"}, [("on_error", "unknown_node")]),
        ({"on_error": "a"}, [("on_error", "leads_back")]),
    ],
)
def test_common_fields(fields, expected):
    assert faults_of(**fields) == expected


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("tool", {"tool": 1}, [("tool", "type")]),
        ("tool", {"tool": " "}, [("tool", "required")]),
        ("tool", {"arguments": []}, [("arguments", "type")]),
        ("tool", {"arguments": "${input}"}, []),
        ("agent", {"agent": []}, [("agent", "type")]),
        ("agent", {"prompt": 1}, [("prompt", "type")]),
        ("agent", {"prompt": ""}, []),
        ("agent", {"output_schema": {"type": "text"}}, [("output_schema.type", "invalid_schema")]),
        ("agent", {"output_schema": []}, [("output_schema", "invalid_schema")]),
        ("transform", {"set": []}, [("set", "type")]),
        ("transform", {"set": "${input}"}, []),
        ("map", {"over": {}}, [("over", "type")]),
        ("map", {"over": "items"}, [("over", "type")]),
        ("map", {"over": "${input.items}"}, []),
        ("map", {"over": [1, "${input.x}"]}, []),
        ("map", {"over": [0] * 10_001}, [("over", "too_many_items")]),
        ("map", {"body": []}, [("body", "type")]),
        ("map", {"body": {}}, [("body.nodes", "required")]),
        ("map", {"max_concurrency": 0}, [("max_concurrency", "range")]),
        ("map", {"max_concurrency": 1.5}, [("max_concurrency", "type")]),
        ("map", {"max_concurrency": "${input.n}"}, []),
        ("map", {"allow_failures": -1}, [("allow_failures", "range")]),
        ("loop", {"max_iterations": 0}, [("max_iterations", "range")]),
        ("loop", {"max_iterations": 1001}, [("max_iterations", "range")]),
        ("loop", {"max_iterations": 1000}, []),
        ("loop", {"while": True}, [("while", "expression_invalid")]),
        ("loop", {"while": "${index}"}, [("while", "expression_invalid")]),
        ("approval", {"title": ""}, [("title", "required")]),
        ("approval", {"title": "${input.x}"}, []),
        ("approval", {"show": {"any": [1]}}, []),
        ("approval", {"quorum": 0}, [("quorum", "range")]),
        ("approval", {"quorum": True}, [("quorum", "type")]),
        ("approval", {"assignees": "ana"}, [("assignees", "type")]),
        ("approval", {"assignees": ["ana", 1]}, [("assignees", "type")]),
        ("approval", {"assignees": ["${input.who}"]}, []),
        ("approval", {"assignees": "${input.who}"}, []),
        ("approval", {"due_seconds": 0}, [("due_seconds", "range")]),
        ("approval", {"on_timeout": "shrug"}, [("on_timeout", "choice")]),
        ("approval", {"on_timeout": "escalate"}, []),
        ("form", {"schema": {"type": 1}}, [("schema.type", "invalid_schema")]),
        ("form", {"schema": {"$ref": "http://x.test"}}, [("schema", "invalid_schema")]),
        ("form", {"due_seconds": "soon"}, [("due_seconds", "type")]),
        ("wait", {"seconds": -1}, [("seconds", "range")]),
        ("wait", {"seconds": "${input.s}"}, []),
        ("wait", {"until": "2026-01-01T00:00:00Z"}, [("seconds", "required")]),
        ("wait", {"seconds": None, "until": "2026-01-01T00:00:00Z"}, []),
        ("wait", {"seconds": None, "until": "${input.at}"}, []),
        ("wait", {"seconds": None, "until": "2026-01-01"}, [("until", "type")]),
        ("wait", {"seconds": None, "until": "tomorrow"}, [("until", "type")]),
        ("wait", {"seconds": None, "until": 5}, [("until", "type")]),
        ("signal", {"name": 1}, [("name", "type")]),
        ("signal", {"name": "${input.order}"}, []),
        ("workflow", {"wait": "yes"}, [("wait", "type")]),
        ("workflow", {"wait": False, "input": None}, []),
        ("fail", {"message": 1}, [("message", "type")]),
    ],
)
def test_fields_of_the_kinds(kind, fields, expected):
    assert faults_of(kind=kind, **fields) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, []),
        (None, [(None, "input_schema", "invalid_schema")]),
        ([], [(None, "input_schema", "invalid_schema")]),
        ({"type": "objekt"}, [(None, "input_schema.type", "invalid_schema")]),
        ({"$ref": "http://169.254.169.254/"}, [(None, "input_schema", "invalid_schema")]),
    ],
)
def test_the_input_schema_is_checked(schema, expected):
    assert faults({**chain("a"), "input_schema": schema}) == expected


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        (None, []),
        ({}, [(None, "edges", "type")]),
        ("a>b", [(None, "edges", "type")]),
        ([1], [(None, "edges.0", "type")]),
        ([{}], [(None, "edges.0.from", "required"), (None, "edges.0.to", "required")]),
        ([{"from": "a"}], [("a", "edges.0.to", "required")]),
        ([{"from": "a", "to": "z"}], [("a", "edges.0.to", "unknown_node")]),
        ([{"from": "z", "to": "a"}], [(None, "edges.0.from", "unknown_node")]),
        ([{"from": "a", "to": ["b"]}], [("a", "edges.0.to", "unknown_node")]),
        ([{"from": {}, "to": "b"}], [(None, "edges.0.from", "unknown_node")]),
        ([{**edge("a", "b"), "label": "x"}], [("a", "edges.0.label", "unknown_field")]),
        ([edge("a", "b"), edge("a", "b")], [("a", "edges.1", "duplicate_edge")]),
        ([edge("a", "b"), edge("a", "b", "true")], [("a", "edges.1", "duplicate_edge")]),
        ([{**edge("a", "b"), "when": None}], []),
        ([edge("a", "b", True)], [("a", "edges.0.when", "expression_invalid")]),
        ([edge("a", "b", "")], [("a", "edges.0.when", "expression_invalid")]),
        ([edge("a", "b", "steps.b.status == 'x'")], [("a", "edges.0.when", "not_an_ancestor")]),
        ([edge("a", "b", "steps.a.status == 'x'")], []),
    ],
)
def test_edges(edges, expected):
    assert faults({"nodes": [step("a"), step("b")], "edges": edges}) == expected


@pytest.mark.parametrize(
    ("edges", "around"),
    [
        ("a>a", "a → a"), ("a>b>a", "a → b → a"), ("a>b>c>b", "b → c → b"),
        ("c>b>a>c", "a → c → b → a"),
    ],
)  # fmt: skip
def test_a_cycle_is_shown_all_the_way_round(edges, around):
    found = check(graph(step("a"), step("b"), step("c"), edges=edges))
    assert [fault.code for fault in found] == ["cycle"]
    assert found[0].message == f"A cycle: {around}. Repetition is a loop step."
    assert found[0].node == around[0]


def test_two_branches_that_meet_are_no_cycle():
    assert faults(graph(*map(step, "abcd"), edges="a>b>d a>c>d")) == []


def test_many_edges_are_a_fault():
    edges = [edge("a", "b")] * 20_001
    assert faults(graph(step("a"), step("b"), edges=edges)) == [(None, "edges", "too_many_edges")]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("c", []), ("d", []), ("b", [("b", "on_error", "leads_back")]),
        ("a", [("b", "on_error", "leads_back")]), ("z", [("b", "on_error", "unknown_node")]),
        ("fail", []), ("continue", []),
    ],
)  # fmt: skip
def test_a_failure_leads_forward(target, expected):
    nodes = [step("a"), step("b", on_error=target), step("c"), step("d")]
    assert faults(graph(*nodes, edges="a>b>c")) == expected


def test_failures_that_lead_in_a_circle_are_a_cycle():
    nodes = [step("a", on_error="b"), step("b", on_error="a")]
    assert [fault[2] for fault in faults(graph(*nodes))] == ["cycle"]


def test_the_target_of_a_failure_sees_what_failed():
    reader = step("b", set={"why": "${steps.a.error.message}"})
    assert faults(graph(step("a", on_error="b"), reader)) == []


CASES = [{"when": "input.x > 1", "to": "b"}, {"when": "input.x > 0", "to": "c"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cases": CASES}, []),
        ({"cases": CASES, "default": "d"}, []),
        ({"cases": CASES, "default": None}, []),
        ({"cases": []}, [("cases", "type")]),
        ({"cases": {}}, [("cases", "type")]),
        ({"cases": [1]}, [("cases.0", "type")]),
        ({"cases": [{}]}, [("cases.0.when", "required"), ("cases.0.to", "required")]),
        ({"cases": [{**CASES[0], "label": 1}]}, [("cases.0.label", "unknown_field")]),
        ({"cases": [{"when": "input.x >", "to": "b"}]}, [("cases.0.when", "expression_invalid")]),
        ({"cases": [{"when": 1, "to": "b"}]}, [("cases.0.when", "expression_invalid")]),
        ({"cases": [{"when": "true", "to": "z"}]}, [("cases.0.to", "unknown_node")]),
        ({"cases": [{"when": "true", "to": "e"}]}, [("cases.0.to", "missing_edge")]),
        ({"cases": [{"when": "true", "to": 1}]}, [("cases.0.to", "required")]),
        ({"cases": CASES, "default": "e"}, [("default", "missing_edge")]),
        ({"cases": CASES, "default": "z"}, [("default", "unknown_node")]),
        ({"cases": CASES, "default": 1}, [("default", "type")]),
        ({"cases": [{"when": "steps.b.status == 'x'", "to": "b"}]},
         [("cases.0.when", "not_an_ancestor")]),
        ({"cases": [{"when": "true", "to": "b"}] * 101}, [("cases", "type")]),
    ],
)  # fmt: skip
def test_decisions(fields, expected):
    definition = graph(step("a", "decision", **fields), *map(step, "bcde"), edges="a>b a>c a>d")
    assert [(fault.field, fault.code) for fault in check(definition)] == expected


def test_an_edge_of_a_decision_has_no_condition():
    definition = graph(
        step("a", "decision", cases=CASES[:1]), step("b"), edges=[edge("a", "b", "true")]
    )
    assert faults(definition) == [("a", "edges.0.when", "conditional_edge")]


def test_too_many_steps_are_one_fault():
    assert faults(chain(*(f"n{i}" for i in range(2_000)))) == []
    assert faults(chain(*(f"n{i}" for i in range(2_001)))) == [(None, "nodes", "too_many_nodes")]


def test_the_steps_of_bodies_count():
    body = {"nodes": [step(f"k{i}") for i in range(1_000)]}
    definition = graph(step("a", "map", body=body), step("b", "map", body=body))
    assert faults(definition) == [(None, "nodes", "too_many_nodes")]


def test_too_many_expressions_are_one_fault():
    values = ["${input.x}"] * 20_001
    assert faults(graph(step("a", set={"v": values}))) == [(None, "", "too_many_expressions")]


def test_a_definition_that_is_too_large_is_one_fault():
    assert faults(graph(step("a", set={"v": "x" * 4_200_000}))) == [(None, "", "not_storable")]


def test_faults_are_bounded():
    definition = graph(*({"id": f"n{i}", "kind": "nothing"} for i in range(500)))
    assert len(check(definition)) == 200


def test_all_faults_are_found_at_once():
    definition = graph(
        step("a", "tool", tool=1, colour="red"), step("b", set=[]), {"id": "B"},
        edges=[edge("a", "z")], output={"x": "${steps.nobody.output}"}, extra=1,
    )  # fmt: skip
    assert set(faults(definition)) == {
        (None, "extra", "unknown_field"), (None, "nodes.2.id", "invalid_id"),
        ("a", "edges.0.to", "unknown_node"), ("a", "tool", "type"),
        ("a", "colour", "unknown_field"), ("b", "set", "type"), (None, "output.x", "unknown_step"),
    }  # fmt: skip

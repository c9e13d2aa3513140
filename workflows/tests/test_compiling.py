"""A checked definition becomes a graph the engine can walk."""

import copy
import sys
import threading
from collections import Counter
from itertools import pairwise

import pytest

from controlplane.kit.expressions import ExpressionError
from workflows.graph import (
    GraphError,
    Retry,
    choose,
    compile_cached,
    compile_graph,
    definition_sha256,
    render_field,
    render_fields,
)
from workflows.graph.compiling import GraphCache
from workflows.tests.definitions import chain, edge, graph, step


def test_edges_and_order():
    compiled = compile_graph(graph(*map(step, "dcba"), edges="a>b>d a>c>d"))
    assert compiled.order == ("a", "c", "b", "d") or compiled.order == ("a", "b", "c", "d")
    assert compiled.roots == ("a",)
    assert compiled.terminals == ("d",)
    assert [(e.source, e.target) for e in compiled.out["a"]] == [("a", "b"), ("a", "c")]
    assert [e.source for e in compiled.into["d"]] == ["b", "c"]
    assert (compiled.out["d"], compiled.into["a"]) == ((), ())
    assert [node.index for node in compiled.nodes.values()] == [0, 1, 2, 3]


def test_defaults_of_a_step():
    node = compile_graph(graph(step("a", "approval", title="Fine?"))).nodes["a"]
    assert (node.kind, node.name, node.join, node.on_error) == ("approval", "", "all", "fail")
    assert (node.timeout_seconds, node.retry) == (None, Retry(1, 1, 60))
    assert node.fields == {"title": "Fine?", "show": None, "arguments": None, "assignees": None,
                           "quorum": 1, "due_seconds": None, "on_timeout": "reject"}  # fmt: skip
    assert (node.body, node.conditions, node.references) == (None, (), frozenset())


def test_chosen_values_of_a_step():
    given = step("b", "tool", name="B", retry={"max_attempts": 3, "backoff_seconds": None},
                 timeout_seconds=2.5, join="any", on_error="continue")  # fmt: skip
    node = compile_graph(graph(given)).nodes["b"]
    assert (node.name, node.join, node.on_error, node.timeout_seconds) == (
        "B",
        "any",
        "continue",
        2.5,
    )
    assert node.retry == Retry(3, 1, 60)


def test_a_failure_is_an_edge_of_its_own():
    compiled = compile_graph(graph(step("a", on_error="c"), step("b"), step("c"), edges="a>b"))
    assert [(e.target, e.on_error) for e in compiled.out["a"]] == [("b", False), ("c", True)]
    assert [e.on_error for e in compiled.into["c"]] == [True]
    assert compiled.roots == ("a",)


def test_templates_and_what_a_step_reads():
    definition = graph(
        step("a"), step("b"), step("c", "tool", arguments={"x": "${steps.a.output.x}", "y": 1}),
        step("d"), edges=[edge("a", "b"), edge("b", "c"), edge("c", "d", "steps.b.status == 'x'")],
    )  # fmt: skip
    node = compile_graph(definition).nodes["c"]
    assert node.references == {"a", "b"}
    assert set(node.templates) == {"arguments"}
    context = {"steps": {"a": {"output": {"x": 7}}}}
    assert node.templates["arguments"].render(context) == {"x": 7, "y": 1}


def test_a_step_asked_about_by_its_own_edge():
    edges = [edge("a", "b", "steps.a.output.approved"), edge("b", "c", "steps.a.output.approved")]
    nodes = [step("a", "approval"), step("b", "approval"), step("c")]
    compiled = compile_graph(graph(*nodes, edges=edges))
    assert compiled.nodes["a"].is_asked_about
    assert not compiled.nodes["b"].is_asked_about
    assert compiled.nodes["a"].references == frozenset()
    assert compiled.nodes["b"].references == {"a"}


def test_bodies_are_graphs_and_know_what_they_read_outside():
    inner = {"nodes": [step("k", set={"v": "${steps.a.output} ${item}"}), step("j")],
             "edges": [edge("k", "j", "steps.b.status == 'x'")],
             "output": "${steps.j.output}"}  # fmt: skip
    over = step("m", "map", over="${steps.b.output}", body=inner)
    compiled = compile_graph(graph(step("a"), step("b"), over, edges="a>b>m"))
    node = compiled.nodes["m"]
    assert node.body.order == ("k", "j")
    assert node.body.references == {"a", "b"}
    assert node.references == {"b"}
    assert node.body.output.steps == {"j"}
    assert (node.fields["max_concurrency"], node.fields["allow_failures"]) == (10, 0)


def test_a_loop_has_one_condition():
    node = compile_graph(graph(step("l", "loop", **{"while": "index < 2"}))).nodes["l"]
    assert [node.conditions[0].evaluate({"index": i}) for i in (1, 2)] == [True, False]


def test_the_name_of_a_signal_is_what_it_waits_for():
    node = compile_graph(graph(step("s", "signal", name="paid ${input.id}"))).nodes["s"]
    assert node.name == ""
    assert node.templates["name"].render({"input": {"id": 7}}) == "paid 7"


def test_output_and_input_schema():
    plain = compile_graph(chain("a"))
    assert (plain.output, plain.input_schema) == (None, {"type": "object"})
    full = compile_graph({**chain("a"), "output": {"x": 1}, "input_schema": {"type": "string"}})
    assert full.output.render({}) == {"x": 1}
    assert full.input_schema == {"type": "string"}


CASES = [{"when": "input.n > 10", "to": "b"}, {"when": "input.n > 5", "to": "c"}]


@pytest.mark.parametrize(("n", "to"), [(11, "b"), (6, "c"), (1, "d"), (1.5, "d")])
def test_the_first_case_that_holds_wins(n, to):
    decision = step("a", "decision", cases=CASES, default="d")
    node = compile_graph(graph(decision, *map(step, "bcd"), edges="a>b a>c a>d")).nodes["a"]
    assert choose(node, {"input": {"n": n}}) == to


def test_a_decision_without_default_chooses_nothing():
    decision = step("a", "decision", cases=CASES)
    node = compile_graph(graph(decision, *map(step, "bc"), edges="a>b a>c")).nodes["a"]
    assert choose(node, {"input": {"n": 1}}) is None
    with pytest.raises(ExpressionError):
        choose(node, {"input": {}})


@pytest.mark.parametrize(
    "definition",
    [
        None, 1, [], {}, {"nodes": None}, {"nodes": [{}]}, {"nodes": [1]}, chain("a", "b", "a"),
        graph(step("a"), edges="a>a"), graph(step("a"), edges=[edge("a", "z")]),
        graph(step("a", set={"v": "${1 +}"})), graph({"id": "a", "kind": "nothing"}),
        graph(step("a", "decision", cases=[{}])), graph({"id": "a", "kind": "map"}),
        graph(step("a", on_error="z")), graph(step("a", retry={"x": 1})),
    ],
)  # fmt: skip
def test_a_definition_with_faults_is_refused_by_one_error(definition):
    with pytest.raises(GraphError):
        compile_graph(definition)


def test_compiling_changes_nothing():
    definition = graph(step("a", "tool", arguments={"x": ["$${y}"]}), step("m", "map"))
    before = copy.deepcopy(definition)
    compile_graph(definition).nodes["a"].templates["arguments"].render({})
    assert definition == before


def calls_to_compile(count):
    """Function calls that compiling a chain of so many steps takes: work, not time."""
    ids = [f"n{i}" for i in range(count)]
    reads = {node: f"${{steps.{before}.output.x}}" for before, node in pairwise(ids)}
    nodes = [step(node, set={"v": reads.get(node, 1)}) for node in ids]
    definition, calls = graph(*nodes, edges=">".join(ids)), Counter()
    sys.setprofile(lambda _frame, event, _argument: calls.update((event,)))
    try:
        compile_graph(definition)
    finally:
        sys.setprofile(None)
    return calls["call"] + calls["c_call"]


def test_the_work_of_compiling_grows_with_the_steps_not_with_their_square():
    assert calls_to_compile(1_600) < 8 * calls_to_compile(400)


def test_a_cached_graph_is_compiled_once():
    calls = []

    def definition():
        calls.append(1)
        return chain("a")

    first = compile_cached("key of this test", definition)
    assert compile_cached("key of this test", definition) is first
    assert compile_cached("key of this test", chain("b")) is first
    assert compile_cached("other key of this test", chain("b")).order == ("b",)
    assert calls == [1]


def test_the_cache_is_bounded_by_steps_and_forgets_the_least_used():
    cache, compiled = GraphCache(6), []

    def get(*ids):
        return cache.get(ids, lambda: compiled.append(ids) or chain(*ids))

    get("a", "b")
    get("c", "d")
    get("a", "b")
    get("e", "f", "g")
    get("a", "b")
    assert compiled == [("a", "b"), ("c", "d"), ("e", "f", "g")]
    get("c", "d")
    assert compiled[3:] == [("c", "d")]
    big = [f"n{i}" for i in range(20)]
    assert get(*big) is get(*big)


def test_threads_get_the_same_graph():
    found = []

    def work():
        found.append(compile_cached("key for threads", lambda: chain("a", "b")))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(graph) for graph in found}) == 1


WAIT = {"steps": {}, "input": {"s": 5, "text": "five", "none": None, "at": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        ("wait", "seconds", "${input.s}", 5), ("wait", "seconds", 3, 3),
        ("approval", "quorum", "${input.s}", 5), ("approval", "quorum", None, 1),
        ("approval", "quorum", "${input.none}", 1),
        ("approval", "due_seconds", "${input.none}", None),
        ("approval", "title", "Is it ${input.s}?", "Is it 5?"), ("tool", "arguments", None, {}),
        ("workflow", "input", "${input.none}", None), ("workflow", "input", None, None),
    ],
)  # fmt: skip
def test_a_field_is_rendered(kind, name, value, expected):
    node = compile_graph(graph(step("a", kind, **{name: value}))).nodes["a"]
    assert render_field(node, name, WAIT) == expected


@pytest.mark.parametrize(
    ("kind", "name", "value", "says"),
    [
        ("wait", "seconds", "${input.text}", "seconds: This is a number, not text."),
        ("wait", "seconds", "${-1}", "at least 0"),
        ("approval", "quorum", "${1.5}", "whole number"),
        ("approval", "assignees", ["${input.s}"], "a list of texts"),
        ("approval", "title", "${input.s}", "title: This is text, not a number."),
        ("map", "over", "${input}", "over: This is a list"),
        ("map", "over", "${input.none}", "over: This is a list"),
        ("tool", "arguments", "${input.text}", "an object"),
        ("signal", "name", "${''}", "required"),
        ("wait", "until", "${input.text}", "a time with its offset"),
    ],
)
def test_a_field_that_does_not_fit_fails_the_step(kind, name, value, says):
    node = compile_graph(graph(step("a", kind, **{name: value}))).nodes["a"]
    with pytest.raises(ExpressionError, match=says) as caught:
        render_field(node, name, WAIT)
    assert caught.value.code == "expression_error"


def test_all_fields_of_a_step():
    node = compile_graph(graph(step("a", "wait", seconds=None, until="${input.at}"))).nodes["a"]
    assert render_fields(node, WAIT) == {"seconds": None, "until": "2026-01-01T00:00:00Z"}


def test_the_hash_is_of_the_logic():
    inner = {"nodes": [step("k", position={"x": 1, "y": 1})]}
    drawn = graph(step("a", position={"x": 1, "y": 2}), step("m", "map", body=inner), edges="a>m")
    moved = copy.deepcopy(drawn)
    moved["nodes"][0]["position"] = {"x": 9, "y": 9}
    del moved["nodes"][1]["body"]["nodes"][0]["position"]
    assert definition_sha256(moved) == definition_sha256(drawn)
    assert definition_sha256(dict(reversed(drawn.items()))) == definition_sha256(drawn)
    assert len(definition_sha256(drawn)) == 64


def test_a_position_that_is_data_counts():
    one, other = (graph(step("a", set={"position": {"x": x}})) for x in (1, 2))
    assert definition_sha256(one) != definition_sha256(other)
    assert definition_sha256(chain("a")) != definition_sha256(chain("b"))


@pytest.mark.parametrize("definition", [None, [], {"nodes": 1}, {"nodes": [1, {"body": {}}]}])
def test_a_draft_with_faults_has_a_hash_too(definition):
    assert definition_sha256(definition) == definition_sha256(definition)

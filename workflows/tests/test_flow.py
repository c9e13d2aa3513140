"""Which edges are taken when a step has ended."""

import pytest

from controlplane.kit.expressions import ExpressionError
from workflows.graph import compile_graph, edge_outcomes
from workflows.tests.definitions import edge, graph, step

CASES = [{"when": "true", "to": "b"}]


def outcomes(first, edges, status="succeeded", output=None, **context):
    compiled = compile_graph(graph(first, *map(step, "bcd"), edges=edges))
    own = {"output": output, "status": status, "error": None}
    found = edge_outcomes(
        compiled, "a", status, output, {"input": {}, "steps": {"a": own}, **context}
    )
    assert list(found) == list(compiled.out["a"])
    return {(e.target, "error") if e.on_error else e.target: taken for e, taken in found.items()}


def test_edges_without_condition_are_taken_after_success():
    assert outcomes(step("a"), "a>b a>c") == {"b": True, "c": True}
    assert outcomes(step("a"), []) == {}


def test_conditions_decide_each_for_itself():
    edges = [edge("a", "b", "steps.a.output.n > 1"), edge("a", "c", "steps.a.output.n > 5"),
             edge("a", "d")]  # fmt: skip
    assert outcomes(step("a"), edges, output={"n": 3}) == {"b": True, "c": False, "d": True}


@pytest.mark.parametrize("status", ["skipped", "cancelled"])
@pytest.mark.parametrize("on_error", ["fail", "continue", "d"])
def test_nothing_follows_a_skipped_step(status, on_error):
    found = outcomes(step("a", on_error=on_error), "a>b", status=status)
    assert set(found.values()) == {False}


def test_nothing_follows_a_failure_that_fails_the_run():
    assert outcomes(step("a"), "a>b a>c", status="failed") == {"b": False, "c": False}


def test_after_continue_the_edges_see_no_output():
    edges = [edge("a", "b"), edge("a", "c", "steps.a.output == null && steps.a.status == 'failed'"),
             edge("a", "d", "steps.a.output != null")]  # fmt: skip
    found = outcomes(step("a", on_error="continue"), edges, status="failed")
    assert found == {"b": True, "c": True, "d": False}


def test_a_failure_takes_its_own_edge_and_no_other():
    first = step("a", on_error="d")
    assert outcomes(first, "a>b a>c", status="failed") == {
        "b": False, "c": False, ("d", "error"): True
    }  # fmt: skip
    assert outcomes(first, "a>b a>c") == {"b": True, "c": True, ("d", "error"): False}


def test_a_target_of_both_edges_is_reached_by_one():
    first = step("a", on_error="b")
    assert outcomes(first, "a>b") == {"b": True, ("b", "error"): False}
    assert outcomes(first, "a>b", status="failed") == {"b": False, ("b", "error"): True}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"to": "b"}, {"b": True, "c": False}), ({"to": "c"}, {"b": False, "c": True}),
        ({"to": None}, {"b": False, "c": False}), (None, {"b": False, "c": False}),
    ],
)  # fmt: skip
def test_a_decision_takes_what_it_chose(output, expected):
    first = step("a", "decision", cases=CASES, default="c")
    assert outcomes(first, "a>b a>c", output=output) == expected


def test_a_decision_that_failed_and_goes_on_takes_nothing():
    first = step("a", "decision", cases=CASES, on_error="continue")
    assert outcomes(first, "a>b", status="failed") == {"b": False}


@pytest.mark.parametrize("when", ["steps.a.output.n > 1", "1 / 0 > 0", "steps.a.status"])
def test_a_condition_that_has_no_value_is_an_error_of_the_step(when):
    with pytest.raises(ExpressionError) as caught:
        outcomes(step("a"), [edge("a", "b", when)], output={})
    assert caught.value.code == "expression_error"

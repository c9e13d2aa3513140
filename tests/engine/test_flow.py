"""Runs from end to end in this process: order, branches, joins, decisions, outputs."""

import pytest

from tests.engine.house import House, call, chain, graph


def test_a_chain_runs_in_order_and_tells_each_step_once(house: House) -> None:
    run = house.run(chain(3))
    assert run.status == "succeeded"
    assert house.events(run) == [
        ("run.queued", None),
        ("step.ready", "s0"),
        ("run.started", None),
        ("step.started", "s0"),
        ("tool.called", None),
        ("step.succeeded", "s0"),
        ("step.started", "s1"),
        ("tool.called", None),
        ("step.succeeded", "s1"),
        ("step.started", "s2"),
        ("tool.called", None),
        ("step.succeeded", "s2"),
        ("run.succeeded", None),
    ]


def test_a_join_waits_for_all_its_branches(house: House) -> None:
    run = house.run(
        graph(
            {
                "a": {},
                "b": call("sleep", seconds=0.05),
                "c": {},
                "d": {"kind": "transform", "set": {"b": "${steps.b.output.seconds}"}},
            },
            "a>b",
            "a>c",
            "b>d",
            "c>d",
            output={"b": "${steps.d.output.b}"},
        )
    )
    assert (run.status, run.output) == ("succeeded", {"b": 0.05})
    events = house.events(run)
    assert events.index(("step.succeeded", "b")) < events.index(("step.started", "d"))


@pytest.mark.parametrize("width", [2, 60])
def test_a_fan_out_joins_once(house: House, width: int) -> None:
    nodes = {"a": {}, **{f"b{n}": call("noop") for n in range(width)}, "z": {}}
    edges = [f"a>b{n}" for n in range(width)] + [f"b{n}>z" for n in range(width)]
    run = house.run(graph(nodes, *edges))
    assert run.status == "succeeded"
    assert house.events(run).count(("step.started", "z")) == 1


def test_a_decision_takes_one_branch_and_the_others_are_skipped(house: House) -> None:
    run = house.run(
        graph(
            {
                "d": {
                    "kind": "decision",
                    "cases": [{"when": "input.x > 10", "to": "big"}],
                    "default": "small",
                },
                "big": {},
                "small": {},
                "after": {},
            },
            "d>big",
            "d>small",
            "big>after",
        ),
        input={"x": 3},
    )
    assert house.statuses(run) == {
        "d": "succeeded",
        "big": "skipped",
        "small": "succeeded",
        "after": "skipped",
    }
    assert run.status == "succeeded"


def test_a_join_any_runs_at_the_first_taken_edge_and_ignores_later_ones(
    house: House, name: str, gate
) -> None:
    definition = graph(
        {
            "quick": {},
            "slow": call("held_read", name=name),
            "first": {"kind": "transform", "join": "any", "set": {"s": "${steps.slow.status}"}},
            "last": {"kind": "transform", "set": {"s": "${steps.slow.status}"}},
        },
        "quick>first",
        "slow>first",
        "slow>last",
        "first>last",
    )
    house.worker()
    run = house.start(definition)
    first = house.stands(run, "first", "succeeded")
    gate.set()
    run = house.ended(run)
    assert first.output == {"s": "running"}
    assert house.steps(run)["last"].output == {"s": "succeeded"}
    assert house.events(run).count(("step.started", "first")) == 1


def test_a_join_any_without_a_taken_edge_is_skipped(house: House) -> None:
    run = house.run(
        graph(
            {"a": {}, "b": {}, "c": {"kind": "transform", "join": "any", "set": {}}},
            "a>c:1 > 2",
            "b>c:1 > 2",
        )
    )
    assert house.statuses(run)["c"] == "skipped"


def test_a_missing_path_is_null_in_the_output_and_a_failure_elsewhere(house: House) -> None:
    run = house.run(graph({"a": {}}, output={"x": "${steps.a.output.nothing.there}"}))
    assert (run.status, run.output) == ("succeeded", {"x": None})
    run = house.run(graph({"a": {"kind": "transform", "set": {"x": "${input.nothing}"}}}))
    assert (run.status, run.reason) == ("failed", "expression_error")
    assert run.error["node"] == "a"


def test_a_condition_that_cannot_be_evaluated_fails_its_source(house: House) -> None:
    run = house.run(graph({"a": {}, "b": {}}, "a>b:input.nothing > 1"))
    assert run.reason == "expression_error"
    assert house.statuses(run) == {"a": "failed", "b": "cancelled"}


def test_the_output_of_a_run_that_cannot_be_evaluated_fails_the_run(house: House) -> None:
    run = house.run(graph({"a": {}}, output={"x": "${1 / 0}"}))
    assert (run.status, run.reason) == ("failed", "expression_error")
    assert house.statuses(run) == {"a": "succeeded"}


def test_a_run_output_that_is_too_large_fails_the_run_not_the_step(house: House) -> None:
    output = {f"part{n}": "${input.text}" for n in range(5)}
    run = house.run(graph({"a": {}}, output=output), input={"text": "x" * 1_000_000})
    assert (run.status, run.reason) == ("failed", "output_not_storable")
    assert house.statuses(run) == {"a": "succeeded"}

"""Maps and loops: bodies in order, so many at a time, with failures, cancels and crashes."""

from typing import Any

import pytest

from runs import messages, services
from runs.models import Run, Scope, Step
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import die


def body(nodes: dict[str, Any], *edges: str, output: Any = None) -> dict[str, Any]:
    """The body of a map or loop."""
    made = graph(nodes, *edges, output=output)
    return {key: made[key] for key in ("nodes", "edges", "output")}


def mapped(over: Any, nodes: dict[str, Any], *edges: str, output: Any, **fields: Any) -> Any:
    """A run of one map `m`, whose output is the map's."""
    node = {"kind": "map", "over": over, "body": body(nodes, *edges, output=output), **fields}
    return graph({"m": node, "z": {}}, "m>z", output={"all": "${steps.m.output}"})


def test_a_map_gives_the_outputs_of_its_body_in_the_order_of_the_items(house: House) -> None:
    run = house.run(
        mapped(
            "${input.cities}",
            {
                "ask": call("echo", city="${item.name}", at="${index}"),
                "shape": {"kind": "transform", "set": {"x": "${steps.ask.output.city}!"}},
            },
            "ask>shape",
            output={"said": "${steps.shape.output.x}", "at": "${index}", "of": "${input.of}"},
        ),
        input={"cities": [{"name": name} for name in "cab"], "of": 3},
    )
    assert run.status == "succeeded", run.error
    assert run.output["all"] == [
        {"said": f"{name}!", "at": at, "of": 3} for at, name in enumerate("cab")
    ]
    steps = Step.objects.filter(run=run, node="ask").order_by("path")
    assert [step.path for step in steps] == ["m[0]", "m[1]", "m[2]"]
    assert all(step.status == "succeeded" for step in steps)


def test_a_map_over_nothing_is_an_empty_list(house: House) -> None:
    run = house.run(mapped("${input.all}", {"a": {}}, output=1), input={"all": []})
    assert (run.status, run.output) == ("succeeded", {"all": []})


def test_no_more_items_are_open_than_the_map_allows(house: House) -> None:
    worker = house.worker(threads=8)
    house.ticker()
    run = house.start(
        mapped(list(range(9)), {"a": call("sleep", seconds=0.05)}, output=None, max_concurrency=2)
    )
    seen: set[int] = set()

    def is_over() -> bool:
        seen.add(Scope.objects.filter(run_id=run.pk, status="open").count())
        return Run.objects.get(pk=run.pk).is_terminal

    house.until(is_over, 15, "the map has not ended")
    assert max(seen) == 2
    assert house.ended(run).output["all"] == [None] * 9
    assert worker.engine.working == {}


def test_three_hundred_items_on_two_workers_each_run_once(house: House) -> None:
    house.worker()
    house.worker()
    run = house.run(
        mapped(list(range(300)), {"a": call("echo", n="${item}"), "b": {}}, "a>b",
               output="${steps.a.output.n}", max_concurrency=100)
    )  # fmt: skip
    assert run.status == "succeeded", run.error
    assert run.output["all"] == list(range(300))
    assert Step.objects.filter(run=run, attempt=1, node="a").count() == 300


def test_branches_decisions_and_skips_inside_a_body_count_down(house: House) -> None:
    run = house.run(
        mapped(
            [1, 2],
            {
                "which": {
                    "kind": "decision",
                    "cases": [{"when": "item > 1", "to": "big"}],
                    "default": "small",
                },
                "big": {"kind": "transform", "set": {"v": "big"}},
                "small": {"kind": "transform", "set": {"v": "small"}},
                "after": {},
            },
            "which>big",
            "which>small",
            "big>after",
            output={"b": "${steps.big.output.v}", "s": "${steps.small.output.v}"},
        )
    )
    assert run.status == "succeeded", run.error
    assert run.output["all"] == [{"b": None, "s": "small"}, {"b": "big", "s": None}]
    assert Step.objects.filter(run=run, status="skipped").count() == 3


FAILS_ON_EVEN = {
    "a": {
        "kind": "decision",
        "cases": [{"when": "item % 2 == 0", "to": "bad"}],
        "default": "good",
    },
    "bad": {"kind": "fail", "message": "Item ${item} is even"},
    "good": {"kind": "transform", "set": {"v": "${item}"}},
}


def test_failed_items_are_null_as_long_as_the_map_allows_them(house: House) -> None:
    run = house.run(
        mapped([1, 2, 3, 4, 5], FAILS_ON_EVEN, "a>bad", "a>good",
               output="${steps.good.output.v}", allow_failures=2)
    )  # fmt: skip
    assert run.status == "succeeded", run.error
    assert run.output["all"] == [1, None, 3, None, 5]


def test_one_failure_too_many_fails_the_map_and_cancels_the_other_items(house: House) -> None:
    nodes = {**FAILS_ON_EVEN, "good": call("sleep", seconds=20)}
    run = house.run(
        mapped([1, 2, 3, 5, 7], nodes, "a>bad", "a>good", output=None, max_concurrency=3)
    )
    assert run.status == "failed"
    assert (run.error["code"], run.error["node"]) == ("item_failed", "m")
    assert run.error["details"]["index"] == 1
    assert "Item 2 is even" in run.error["message"]
    assert set(Scope.objects.filter(run_id=run.pk).values_list("status", flat=True)) == {
        "failed",
        "cancelled",
    }


def test_a_map_whose_failure_is_allowed_by_on_error_lets_the_run_go_on(house: House) -> None:
    run = house.run(mapped([2], FAILS_ON_EVEN, "a>bad", "a>good", output=None, on_error="continue"))
    assert (run.status, run.output) == ("succeeded", {"all": None})


def test_maps_nest_and_inner_words_hide_outer_ones(house: House) -> None:
    inner = {
        "kind": "map",
        "over": "${item.of}",
        "body": body(
            {"leaf": call("echo", v="${item}", outer="${steps.name.output.n}", at="${index}")},
            output="${steps.leaf.output}",
        ),
    }
    run = house.run(
        mapped(
            [{"n": "x", "of": [1, 2]}, {"n": "y", "of": []}, {"n": "z", "of": [3]}],
            {"name": {"kind": "transform", "set": {"n": "${item.n}"}}, "k": inner},
            "name>k",
            output={"name": "${steps.name.output.n}", "of": "${steps.k.output}"},
        )
    )
    assert run.status == "succeeded", run.error
    assert run.output["all"] == [
        {"name": "x", "of": [{"v": 1, "outer": "x", "at": 0}, {"v": 2, "outer": "x", "at": 1}]},
        {"name": "y", "of": []},
        {"name": "z", "of": [{"v": 3, "outer": "z", "at": 0}]},
    ]
    assert Step.objects.filter(run=run, path="m[0].k[1]", node="leaf").exists()


def looped(condition: str, nodes: dict[str, Any], *edges: str, output: Any, **fields: Any) -> Any:
    """A run of one loop `l`."""
    node = {"kind": "loop", "while": condition, "body": body(nodes, *edges, output=output)}
    return graph({"l": {**node, **fields}}, output={"last": "${steps.l.output}"})


def test_a_loop_passes_its_output_on_until_its_condition_fails(house: House) -> None:
    run = house.run(
        looped(
            "index < 4",
            {"a": call("echo", n="${index}", was="${previous}")},
            output={"n": "${steps.a.output.n}", "was": "${steps.a.output.was.n}"},
        )
    )
    assert run.status == "succeeded", run.error
    assert run.output == {"last": {"n": 3, "was": 2}}
    assert Step.objects.filter(run=run, node="a").count() == 4


def test_a_loop_whose_condition_never_holds_is_null(house: House) -> None:
    run = house.run(looped("false", {"a": {}}, output=1))
    assert (run.status, run.output) == ("succeeded", {"last": None})


def test_a_loop_that_reaches_its_bound_fails(house: House) -> None:
    run = house.run(looped("true", {"a": {}}, output="${index}", max_iterations=3))
    assert (run.status, run.error["code"]) == ("failed", "max_iterations")


def test_a_pass_that_fails_ends_the_loop(house: House) -> None:
    run = house.run(
        looped("true", {"a": {"kind": "fail", "message": "Pass ${index}"}}, output=None)
    )
    assert (run.status, run.error["code"]) == ("failed", "pass_failed")
    assert "Pass 0" in run.error["message"]


def test_a_map_that_takes_longer_than_its_timeout_fails(house: House) -> None:
    run = house.run(
        mapped([1, 2], {"a": call("sleep", seconds=20)}, output=None, timeout_seconds=0.2)
    )
    assert (run.status, run.error["code"]) == ("failed", "timeout")
    assert Step.objects.filter(run=run, node="a", status="cancelled").count() == 2


def test_cancelling_a_run_cancels_the_items_it_works_on(house: House) -> None:
    house.worker()
    house.ticker()
    run = house.start(mapped(list(range(50)), {"a": call("sleep", seconds=20)}, output=None))
    house.until(
        lambda: Step.objects.filter(run=run, node="a", status="running").count() == 10, 10, "busy"
    )
    services.cancel(run, actor=house.user)
    assert house.ended(run).status == "cancelled"
    assert Step.objects.filter(run=run).exclude(status="cancelled").count() == 0


def test_waits_and_signals_inside_a_body_hold_nothing(house: House) -> None:
    house.worker(threads=1)
    house.ticker()
    run = house.start(
        mapped(
            ["a", "b"],
            {"w": {"kind": "wait", "seconds": 0.1}, "s": {"kind": "signal", "name": "go_${item}"}},
            "w>s",
            output="${steps.s.output.word}",
        )
    )
    house.until(
        lambda: Step.objects.filter(run=run, node="s", status="waiting").count() == 2, 10, "wait"
    )
    assert Run.objects.get(pk=run.pk).status == "waiting"
    messages.signal(run, "go_b", {"word": 2}, actor=house.user)
    messages.signal(run, "go_a", {"word": 1}, actor=house.user)
    assert house.ended(run).output["all"] == [1, 2]


@pytest.mark.parametrize("kills", [3])
def test_workers_that_die_in_the_middle_of_a_map_repeat_no_finished_item(
    house: House, kills: int
) -> None:
    house.ticker()
    run = house.start(
        mapped(list(range(60)), {"a": call("sleep", seconds=0.03)}, output="${index}",
               max_concurrency=20)
    )  # fmt: skip
    for _ in range(kills):
        worker = house.worker(threads=4)
        done = Scope.objects.filter(run_id=run.pk, status="done").count()
        house.until(
            lambda before=done: (
                Scope.objects.filter(run_id=run.pk, status="done").count() > before + 5
            ),
            10,
            "no item was done",
        )
        die(worker)
    house.worker()
    assert house.ended(run, seconds=30).output["all"] == list(range(60))


def test_a_retry_keeps_the_items_that_were_done(house: House) -> None:
    house.worker()
    house.ticker()
    nodes = {**FAILS_ON_EVEN, "bad": call("counted", name="kept items", failures=1)}
    definition = mapped([1, 2, 3], nodes, "a>bad", "a>good", output="${steps.good.output.v}")
    failed = house.ended(house.start(definition))
    assert (failed.status, failed.error["code"]) == ("failed", "item_failed")
    again = house.ended(services.retry(failed, actor=house.user)[0])
    assert (again.status, again.output["all"]) == ("succeeded", [1, None, 3])
    assert list(Step.objects.filter(run=again, node="a").values_list("path", flat=True)) == ["m[1]"]

"""Sub-workflows: runs that a step starts, waits for, fails with and takes with it."""

from typing import Any

from runs import services
from runs.models import Effect, Run, Step
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import die


def parent(slug: str, *, over: list[Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A run of one step `c` that starts the workflow, with what it came to as output."""
    node = {"kind": "workflow", "workflow": slug, "input": {"x": "${input.x}"}, **fields}
    return graph({"c": node, "z": {}}, "c>z", output={"got": "${steps.c.output}"})


def child(house: House, nodes: dict[str, Any], *edges: str, output: Any = None) -> str:
    return house.workflow(graph(nodes, *edges, output=output)).slug


def test_the_output_of_the_sub_workflow_is_the_steps(house: House) -> None:
    slug = child(house, {"a": call("echo", x="${input.x}")}, output={"y": "${steps.a.output.x}"})
    run = house.run(parent(slug), input={"x": 7})
    assert (run.status, run.output) == ("succeeded", {"got": {"y": 7}})
    made = Run.objects.get(parent=run)
    assert (made.relation, made.trigger, made.status) == ("child", "workflow", "succeeded")
    assert made.started_by == run.started_by
    assert made.root_id not in (run.root_id, made.pk)


def test_a_sub_workflow_not_waited_for_gives_its_id_and_lives_on(house: House) -> None:
    slug = child(house, {"a": call("sleep", seconds=0.2)})
    run = house.run(parent(slug, wait=False), input={"x": 1})
    made = Run.objects.get(parent=run)
    assert run.output == {"got": {"run": str(made.pk)}}
    assert house.ended(made).status == "succeeded"


def test_the_step_fails_as_its_sub_workflow_did(house: House) -> None:
    slug = child(house, {"a": {"kind": "fail", "message": "No paper"}})
    run = house.run(parent(slug), input={"x": 1})
    assert (run.status, run.error["code"]) == ("failed", "child_failed")
    assert "No paper" in run.error["message"]
    made = Run.objects.get(parent=run)
    assert run.error["details"]["run"] == str(made.pk)


def test_a_retried_step_starts_the_sub_workflow_again(house: House, name: str) -> None:
    slug = child(house, {"a": call("counted", name=name, failures=1)})
    retry = {"max_attempts": 2, "backoff_seconds": 0.01}
    run = house.run(parent(slug, retry=retry), input={"x": 1})
    assert run.status == "succeeded", run.error
    assert sorted(Run.objects.filter(parent=run).values_list("status", flat=True)) == [
        "failed",
        "succeeded",
    ]
    keys = set(Effect.objects.filter(run__parent=run).values_list("key", flat=True))
    assert len(keys) == 1  # the same call, so the same key


def test_cancelling_the_run_cancels_its_sub_workflow(house: House) -> None:
    house.worker()
    house.ticker()
    slug = child(house, {"a": call("sleep", seconds=30)})
    run = house.start(parent(slug), input={"x": 1})
    house.until(lambda: Step.objects.filter(run__parent=run, status="running").exists(), 10, "run")
    services.cancel(run, actor=house.user)
    assert house.ended(run).status == "cancelled"
    made = house.ended(Run.objects.get(parent=run))
    assert (made.status, made.error["code"]) == ("cancelled", "parent_ended")


def test_a_sub_workflow_that_takes_too_long_fails_the_step_and_is_cancelled(house: House) -> None:
    slug = child(house, {"a": call("sleep", seconds=30)})
    run = house.run(parent(slug, timeout_seconds=0.3), input={"x": 1})
    assert (run.status, run.error["code"]) == ("failed", "timeout")
    assert house.ended(Run.objects.get(parent=run)).status == "cancelled"


def test_a_worker_that_dies_starts_no_second_sub_workflow(house: House, name: str, gate) -> None:
    house.ticker()
    first = house.worker()
    slug = child(house, {"a": call("held_read", name=name)})
    run = house.start(parent(slug), input={"x": 1})
    house.until(lambda: Step.objects.filter(run__parent=run, status="running").exists(), 10, "run")
    die(first)
    gate.set()
    house.worker()
    assert house.ended(run, seconds=20).status == "succeeded"
    assert Run.objects.filter(parent=run).count() == 1


def test_sub_workflows_inside_a_map_each_run_once(house: House) -> None:
    slug = child(house, {"a": call("echo", x="${input.x}")}, output="${steps.a.output.x}")
    inner = {"kind": "workflow", "workflow": slug, "input": {"x": "${item}"}}
    body = {"nodes": [{"id": "c", **inner}], "edges": [], "output": "${steps.c.output}"}
    definition = graph(
        {"m": {"kind": "map", "over": [1, 2, 3], "body": body}}, output="${steps.m.output}"
    )
    run = house.run(definition)
    assert (run.status, run.output) == ("succeeded", [1, 2, 3])
    assert Run.objects.filter(parent=run).values("root_id").distinct().count() == 3


def test_an_input_the_sub_workflow_refuses_fails_the_step(house: House) -> None:
    definition = graph({"a": {}})
    definition["input_schema"] = {"type": "object", "required": ["y"]}
    slug = house.workflow(definition).slug
    run = house.run(parent(slug), input={"x": 1})
    assert run.status == "failed"
    assert "input.y: This is required." in run.error["message"]
    assert not Run.objects.filter(parent=run).exists()

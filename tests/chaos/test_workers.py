"""Workers that are killed or told to stop in mid-step."""

import secrets
import signal
import time

import pytest

from tests.chaos.scene import CLASSES, Scene, step
from tests.engine.house import graph

pytestmark = pytest.mark.chaos

RECOVERY_SECONDS = 20


def test_after_kill_9_runs_go_on_and_finished_steps_are_not_repeated(scene: Scene) -> None:
    """The engine is told nothing: only the missing heartbeat says it."""
    run, name = {}, {}
    for effect in CLASSES:
        name[effect] = secrets.token_hex(4)
        workflow = scene.workflow(scene.three_calls(effect))
        run[effect] = scene.user.start(workflow, {"name": name[effect]})["id"]
    for effect in CLASSES:
        scene.called(f"{name[effect]}-held")
    scene.stack.kill_worker()
    scene.stack.start_worker()
    began = time.monotonic()
    scene.called(f"{name['read']}-held", 2, RECOVERY_SECONDS)
    scene.called(f"{name['idempotent']}-held", 2, RECOVERY_SECONDS)
    assert time.monotonic() - began < RECOVERY_SECONDS
    scene.book.go.set()
    stands = scene.at_rest(run.values(), 15)
    assert stands == {"succeeded": 2, "waiting": 1}
    calls, keys = scene.book.calls, scene.book.keys
    for effect, times in (("read", 2), ("idempotent", 2), ("unsafe", 1)):
        assert calls[f"{name[effect]}-before"] == 1
        assert calls[f"{name[effect]}-held"] == times
        assert calls[f"{name[effect]}-after"] == (0 if effect == "unsafe" else 1)
    assert len(set(keys[f"{name['idempotent']}-held"])) == 1
    assert keys[f"{name['idempotent']}-held"][0]
    waiting = scene.user.steps(run["unsafe"])[1]
    assert (waiting["status"], waiting["reason"]) == ("waiting", "reconcile")
    again = scene.user.steps(run["read"])[1]
    assert [a["status"] for a in again["attempts"]] == ["crashed", "succeeded"]


def test_after_kill_9_a_checkable_call_is_asked_about_before_anything_else(scene: Scene) -> None:
    """One whose check says done goes on with what was found; one whose check says that nothing
    happened is made again with its key; one whose check is away waits for a person."""
    run, name = {}, {}
    for fate, asked in (("done", "${arguments.name}"), ("lost", "no-${arguments.name}")):
        name[fate] = secrets.token_hex(4)
        tool = scene.checkable(f"pay-{fate}", {"name": asked})
        run[fate] = scene.user.start(
            scene.workflow(graph({"pay": step(tool, name[fate])}, output="${steps.pay.output}")), {}
        )["id"]
        scene.called(name[fate])
    scene.stack.kill_worker()
    scene.stack.start_worker()
    scene.called(name["lost"], 2, RECOVERY_SECONDS)
    scene.book.go.set()
    assert scene.at_rest(run.values(), 15) == {"succeeded": 2}
    assert (scene.book.calls[name["done"]], scene.book.calls[name["lost"]]) == (1, 2)
    assert len(set(scene.book.keys[name["lost"]])) == 1
    assert scene.book.keys[name["lost"]][0]
    found = scene.user.get(f"/runs/{run['done']}").json()
    assert found["output"] == {"found": 1}


def test_a_dead_worker_that_is_reported_costs_no_threshold(scene: Scene) -> None:
    name = secrets.token_hex(4)
    workflow = scene.workflow(scene.three_calls("read"))
    run_id = scene.user.start(workflow, {"name": name})["id"]
    scene.called(f"{name}-held")
    pid = scene.stack.pids["worker-1"]
    scene.stack.kill_worker()
    began = time.monotonic()
    scene.stack.start_worker()
    scene.stack.report_lost(pid)
    scene.called(f"{name}-held", 2, 7)
    assert time.monotonic() - began < 7
    scene.book.go.set()
    assert scene.at_rest([run_id], 10) == {"succeeded": 1}


def test_a_worker_that_is_told_to_stop_finishes_what_it_can_and_gives_back_the_rest(
    scene: Scene,
) -> None:
    name = secrets.token_hex(4)
    quick = scene.workflow(
        graph(
            {
                "a": {"kind": "tool", "tool": "sleep", "arguments": {"seconds": 1.5}},
                "b": step("now-read", "${input.name}-quick"),
            },
            "a>b",
        )
    )
    long = scene.workflow(scene.three_calls("read"))
    runs = [scene.user.start(each, {"name": name})["id"] for each in (quick, long)]
    scene.called(f"{name}-held")
    began = time.monotonic()
    assert scene.stack.kill_worker(how=signal.SIGTERM) == 0
    assert time.monotonic() - began < 12
    [first, _] = scene.user.steps(runs[0])
    assert (first["status"], first["attempt"]) == ("succeeded", 1)
    held = scene.user.steps(runs[1])[1]
    assert (held["status"], held["reason"], held["attempt"]) == ("ready", "released", 0)
    scene.stack.start_worker()
    scene.called(f"{name}-held", 2, 10)
    scene.book.go.set()
    assert scene.at_rest(runs, 10) == {"succeeded": 2}
    assert scene.book.calls[f"{name}-before"] == 1


def test_an_unsafe_call_that_is_held_up_while_its_worker_stops_waits_for_a_person(
    scene: Scene,
) -> None:
    name = secrets.token_hex(4)
    run_id = scene.user.start(scene.workflow(scene.three_calls("unsafe")), {"name": name})["id"]
    scene.called(f"{name}-held")
    scene.stack.kill_worker(how=signal.SIGTERM)
    scene.stack.start_worker()
    assert scene.at_rest([run_id], 15) == {"waiting": 1}
    assert scene.book.calls[f"{name}-held"] == 1

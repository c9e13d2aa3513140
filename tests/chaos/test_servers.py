"""Redis emptied or away, PostgreSQL crashed, the web process killed, in mid-run."""

import itertools
import secrets
import signal
import threading
import time

import httpx2
import pytest

from tests.chaos.scene import Scene, step
from tests.engine.house import graph

pytestmark = pytest.mark.chaos


def naps(scene: Scene, count: int) -> dict[str, object]:
    """A workflow of naps with a counted call after each."""
    nodes: dict[str, dict[str, object]] = {}
    for n in range(count):
        nodes[f"nap{n}"] = {"kind": "tool", "tool": "sleep", "arguments": {"seconds": 0.2}}
        nodes[f"call{n}"] = step("now-unsafe", f"${{input.name}}-{n}")
    order = list(nodes)
    edges = [f"{a}>{b}" for a, b in itertools.pairwise(order)]
    return scene.workflow(graph(nodes, *edges))


def test_runs_finish_though_redis_is_emptied_again_and_again(scene: Scene) -> None:
    name = secrets.token_hex(4)
    workflow = naps(scene, 4)
    ending = threading.Event()

    def empty() -> None:
        while not ending.wait(0.05):
            scene.stack.redis.flushall()

    thread = threading.Thread(target=empty)
    thread.start()
    runs = scene.start_many(workflow, [{"name": f"{name}-{n}"} for n in range(20)])
    scene.at_rest(runs, 30)
    ending.set()
    thread.join()
    assert scene.status(runs) == {"succeeded": 20}
    assert {scene.book.calls[f"{name}-{n}-{c}"] for n in range(20) for c in range(4)} == {1}


def test_runs_finish_while_redis_is_away_and_doorbells_ring_when_it_is_back(scene: Scene) -> None:
    name = secrets.token_hex(4)
    workflow = naps(scene, 2)
    scene.stack.valkey.stop()
    try:
        runs = [scene.user.start(workflow, {"name": f"{name}-{n}"})["id"] for n in range(3)]
        assert scene.at_rest(runs, 30) == {"succeeded": 3}
    finally:
        scene.stack.valkey.start()
    scene.stack.wait_ready()
    began = time.monotonic()
    quick = scene.workflow(graph({"a": step("now-read", name)}))
    while time.monotonic() - began < 10:
        run_id = scene.user.start(quick)["id"]
        started = time.monotonic()
        assert scene.at_rest([run_id], 10) == {"succeeded": 1}
        if time.monotonic() - started < 0.8:
            return
    raise AssertionError("doorbells do not ring any more")


def test_a_crashed_postgres_loses_nothing_and_work_goes_on_within_ten_seconds(
    scene: Scene,
) -> None:
    name = secrets.token_hex(4)
    answers: list[int] = []
    workflow = naps(scene, 6)
    held = scene.user.start(scene.workflow(scene.three_calls("unsafe")), {"name": name})["id"]
    scene.called(f"{name}-held")
    runs = scene.start_many(workflow, [{"name": f"{name}-{n}"} for n in range(30)])
    time.sleep(0.5)
    scene.stack.postgres.stop(signal.SIGQUIT)
    asked = threading.Thread(target=lambda: answers.append(scene.user.get("/runs").status_code))
    asked.start()
    time.sleep(1)
    # The call ends while nobody can write it down.
    scene.book.go.set()
    scene.stack.postgres.start()
    back = time.monotonic()
    before = len(scene.book.calls)
    scene.until(lambda: len(scene.book.calls) > before, 10, "work goes on")
    assert time.monotonic() - back < 10
    asked.join()
    assert answers[0] in {200, 503}
    assert scene.at_rest([*runs, held], 40) == {"succeeded": 31}
    assert {scene.book.calls[f"{name}-{n}-{c}"] for n in range(30) for c in range(6)} == {1}
    assert (scene.book.calls[f"{name}-held"], scene.book.calls[f"{name}-after"]) == (1, 1)


def test_a_killed_web_process_costs_no_run_that_was_answered(scene: Scene) -> None:
    name = secrets.token_hex(4)
    workflow = scene.workflow(graph({"a": step("now-unsafe", "${input.name}")}))
    answered: list[str] = []
    ending = threading.Event()

    def start() -> None:
        number = 0
        while not ending.is_set():
            number += 1
            try:
                body = {"workflow": workflow["id"], "environment": "dev"}
                body["input"] = {"name": f"{name}-{threading.get_ident()}-{number}"}
                answer = scene.user.post("/runs", body)
            except httpx2.HTTPError:
                continue
            if answer.status_code == 201:
                answered.append(answer.json()["id"])

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(0.7)
        scene.stack.kill("web")
        scene.stack.start_web()
        scene.stack.wait_ready()
    ending.set()
    for thread in threads:
        thread.join()
    assert len(answered) > 20
    assert scene.at_rest(answered, 30) == {"succeeded": len(answered)}

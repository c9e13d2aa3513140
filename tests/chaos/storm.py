"""Many runs while workers are killed at any moment; what must hold afterwards."""

import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.scene import Scene, step
from tests.engine.house import graph
from tests.engine.invariants import assert_invariants

# The calls of a run by step: between the first and the last they stand side by side.
WIDE = {
    "a": "now-unsafe",
    "w0": "slow-read",
    "w1": "slow-idempotent",
    "w2": "slow-unsafe",
    "w3": "slow-read",
    "z": "now-idempotent",
}
SHORT = {"a": "now-unsafe", "w0": "slow-idempotent", "z": "now-read"}
# Runs started at a time where they are not all started at once.
BATCH = 250


@dataclass
class Report:
    """What a storm did."""

    runs: int = 0
    kills: int = 0
    most_at_once: int = 0
    seconds: float = 0.0
    stands: dict[str, int] = field(default_factory=dict)
    repeated_reads: int = 0
    in_doubt: int = 0
    # Steps that three of the killed workers had in hand.
    parked: int = 0

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.kills} kills (up to {self.most_at_once} at once) in "
            f"{self.seconds:.0f} s: {self.stands}; "
            f"{self.in_doubt} calls in doubt, {self.parked} steps parked, "
            f"{self.repeated_reads} reads repeated"
        )

    def check(self) -> None:
        """Every run is there, and only those wait that have a reason to."""
        assert sum(self.stands.values()) == self.runs, self
        assert set(self.stands) <= {"succeeded", "waiting"}, self
        assert self.stands.get("waiting", 0) <= self.in_doubt + self.parked, self


def definition(calls: Mapping[str, str]) -> dict[str, Any]:
    """Calls of all classes, side by side and joined, with steps in the engine's thread between."""
    first, *wide, last = calls
    nodes = {node: step(tool, f"${{input.name}}-{node}") for node, tool in calls.items()}
    nodes["quick"] = {"kind": "tool", "tool": "noop", "arguments": {}}
    nodes["join"] = {"kind": "transform", "set": {"n": "${steps.w0.output.n}"}}
    edges = [f"{first}>{w}" for w in wide] + [f"{w}>join" for w in wide]
    return graph(nodes, *edges, f"{first}>quick", "quick>join", f"join>{last}")


def storm(
    scene: Scene,
    *,
    runs: int,
    kills: int,
    workers: int,
    pause: tuple[float, float],
    seconds: float,
    calls: Mapping[str, str] = WIDE,
    at_once: int = 10_000,
) -> Report:
    """Start `runs` runs, at most `at_once` of them unfinished, kill workers of `workers` until
    `kills` were killed and all runs were started, and check everything."""
    stack, report = scene.stack, Report(runs=runs)
    name, dice = secrets.token_hex(4), random.Random(kills)  # noqa: S311
    for number in range(2, workers + 1):
        stack.start_worker(number)
    began = time.monotonic()
    workflow, ids = scene.workflow(definition(calls)), []
    while report.kills < kills or len(ids) < runs:
        # As many as belong to the kills so far, so that these meet work to the end.
        due = min(runs, runs * (report.kills + workers) // kills)
        if len(ids) < due and _unfinished(scene, ids) < at_once:
            last = min(len(ids) + BATCH, runs) if at_once < runs else runs
            ids += scene.start_many(
                workflow, [{"name": f"{name}-{n}"} for n in range(len(ids), last)]
            )
        time.sleep(dice.uniform(*pause))
        if report.kills < kills:
            _strike(scene, report, dice, workers, kills)
    report.stands = scene.at_rest(ids, seconds)
    report.seconds = time.monotonic() - began
    for number in range(2, workers + 1):
        stack.kill_worker(number)
    assert_invariants(stack.database_url, ids)
    _check_calls(scene, name, calls, report)
    [row] = stack.sql(
        "SELECT count(*) AS many FROM step WHERE status = 'parked' AND run_id = ANY(%s::uuid[])",
        [ids],
    )
    report.parked = row["many"]
    return report


def _unfinished(scene: Scene, ids: list[str]) -> int:
    return sum(n for status, n in scene.status(ids).items() if status in ("queued", "running"))


def _strike(scene: Scene, report: Report, dice: random.Random, workers: int, kills: int) -> None:
    """Kill one or several workers at the same moment, and start others in their place."""
    stack = scene.stack
    count = min(dice.randint(1, workers), kills - report.kills)
    struck = dice.sample(range(1, workers + 1), count)
    pids = [stack.pids[f"worker-{number}"] for number in struck]
    for number in struck:
        stack.kill_worker(number)
    report.kills += count
    report.most_at_once = max(report.most_at_once, count)
    for number, pid in zip(struck, pids, strict=True):
        stack.start_worker(number)
        # Now and then the supervisor's word is lost too.
        if dice.random() < 0.5:
            stack.report_lost(pid, waits=False)


def _check_calls(scene: Scene, name: str, calls: Mapping[str, str], report: Report) -> None:
    """No unsafe call was made twice, no idempotent one under two keys, none of a finished run
    never."""
    book = scene.book
    for n in range(report.runs):
        for node, tool in calls.items():
            key = f"{name}-{n}-{node}"
            if tool.endswith("unsafe"):
                assert book.calls[key] <= 1, f"{key} was called {book.calls[key]} times"
            elif tool.endswith("idempotent"):
                assert len(set(book.keys[key])) <= 1, f"{key} has keys {book.keys[key]}"
            else:
                report.repeated_reads += book.calls[key] > 1
    finished = scene.stack.sql(
        """SELECT r.input ->> 'name' AS name FROM run r
           WHERE r.status = 'succeeded' AND r.input ->> 'name' LIKE %s""",
        [f"{name}-%"],
    )
    for row in finished:
        for node in calls:
            assert book.calls[f"{row['name']}-{node}"] >= 1, f"{row['name']}-{node} never called"
    [row] = scene.stack.sql(
        "SELECT count(*) AS many FROM effect e JOIN run r ON r.id = e.run_id"
        " WHERE e.state = 'unknown' AND r.input ->> 'name' LIKE %s",
        [f"{name}-%"],
    )
    report.in_doubt = row["many"]

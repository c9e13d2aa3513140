"""The work of the benchmark, each figure as a function of the world it runs in."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.lists import w6
from tests.bench.load import w4, w8, w9, w10
from tests.bench.memory import each_mib
from tests.bench.world import World

MILLION = 1_000_000


def spread(values: list[float]) -> dict[str, float]:
    """p50 and p95 of some milliseconds."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {"p50_ms": statistics.median(values), "p95_ms": cuts[18]}


async def w1(world: World) -> dict[str, float]:
    """One run of one step, from the request until the socket told its success; 50 in a row."""
    took, answered_after = [], []
    for number in range(60):
        run_id, before, answered = await world.start_run("one")
        ended = await world.end_of(run_id)
        if number >= 10:
            took.append((ended - before) / MILLION)
            answered_after.append((answered - before) / MILLION)
    return {**spread(took), "answer_p50_ms": statistics.median(answered_after)}


async def w2(world: World) -> dict[str, float]:
    """300 runs of three chained steps in one batch, until the last has ended; best of three."""
    best = 0.0
    one = {"workflow": world.workflows["three"], "environment": "dev", "input": {}}
    for _ in range(3):
        before = time.monotonic_ns()
        answer = await world.wire.ask("POST", "/runs/batch", {"runs": [one] * 300})
        ids = [each["run"]["id"] for each in answer["results"]]
        last = max([await world.end_of(run_id) for run_id in ids])
        best = max(best, 300 / ((last - before) / MILLION / 1000))
    return {"runs_per_s": best, "steps_per_s": best * 3}


async def w3(world: World) -> dict[str, float]:
    """One run of 100 chained steps, in milliseconds a step; median of seven."""
    took = []
    for number in range(8):
        run_id, before, _ = await world.start_run("hundred")
        ended = await world.end_of(run_id)
        if number:
            took.append((ended - before) / MILLION / 100)
    return {"ms_per_step": statistics.median(took), "worst_ms_per_step": max(took)}


async def w5(world: World) -> dict[str, Any]:
    """Memory of our Python processes at rest, and the seconds of a second start."""
    ours = each_mib(world)
    return {
        "pss_mib": sum(ours.values()),
        "start_s": world.instance.seconds_to_ready,
        "each": {name: round(value, 1) for name, value in ours.items()},
    }


async def w7(world: World) -> dict[str, float]:
    """From the answer to POST /runs until the first line of the step's code; 50 in a row."""
    took = []
    for number in range(60):
        run_id, _, answered = await world.start_run("clock")
        await world.end_of(run_id)
        steps = await world.wire.ask("GET", f"/runs/{run_id}/steps")
        ran = steps["results"][0]["output"]["monotonic_ns"]
        if number >= 10:
            took.append((ran - answered) / MILLION)
    return spread(took)


@dataclass(frozen=True)
class Figure:
    """One row of the table: its work, and what it must reach at the reference speed."""

    name: str
    title: str
    work: Callable[[World], Awaitable[dict[str, Any]]]
    musts: dict[str, float]
    is_rate: bool = False
    depends_on_disk: bool = True

    def must(self, key: str, reference: dict[str, float]) -> float:
        """The must on this disk: times grow with a slow pg1, rates fall with a slow pg8."""
        if not self.depends_on_disk:
            return self.musts[key]
        if self.is_rate:
            return self.musts[key] * min(1.0, reference["pg8"] / 9_000)
        return self.musts[key] * max(1.0, 2_500 / reference["pg1"])

    def holds(self, key: str, value: float, reference: dict[str, float]) -> bool:
        """Whether a value reaches its must."""
        must = self.must(key, reference)
        return value > must if self.is_rate else value < must


FIGURES = [
    Figure("W5", "memory at rest, second start", w5, {"pss_mib": 280, "start_s": 8}, False, False),
    Figure("W1", "one run of one step", w1, {"p50_ms": 8.9}),
    Figure("W7", "answer to first line of the step", w7, {"p50_ms": 4.0}),
    Figure("W3", "100 chained steps", w3, {"ms_per_step": 2.0}),
    Figure("W2", "300 runs of 3 steps", w2, {"runs_per_s": 340, "steps_per_s": 1020}, True),
    Figure("W4", "map of 200 items and a join", w4, {"seconds": 0.3}),
    Figure(
        "W8",
        "500 runs, a model call of 2 s each",
        w8,
        {"seconds": 25.0, "more_mib": 300.0},
        depends_on_disk=False,
    ),
    Figure("W9", "200 sockets on a busy run", w9, {"p95_ms": 250.0}, depends_on_disk=False),
    Figure(
        "W10",
        "50 workers killed in mid-step",
        w10,
        {"p50_s": 12.0, "p99_s": 20.0, "lost": 0.5, "done_twice": 0.5},
        depends_on_disk=False,
    ),
    # Last, for it leaves a million runs behind.
    Figure(
        "W6",
        "first page of a million runs",
        w6,
        {"api_p50_ms": 15, "api_p95_ms": 50, "html_p50_ms": 100, "html_p95_ms": 200, "seed_s": 180},
    ),
]

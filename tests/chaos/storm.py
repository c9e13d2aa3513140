"""Many runs while workers are killed at any moment; what must hold afterwards."""

import random
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.scene import Scene, step
from tests.engine.house import graph
from tests.engine.invariants import assert_invariants

WIDTH = 4


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


def definition() -> dict[str, Any]:
    """Steps of all three classes, side by side and joined, some of them in the engine's thread."""
    classes = ("read", "idempotent", "unsafe", "read")
    wide = [f"w{n}" for n in range(WIDTH)]
    nodes = {
        "a": step("now-unsafe", "${input.name}-a"),
        **{w: step(f"slow-{classes[n]}", f"${{input.name}}-{w}") for n, w in enumerate(wide)},
        "quick": {"kind": "tool", "tool": "noop", "arguments": {}},
        "join": {"kind": "transform", "set": {"n": "${steps.w0.output.n}"}},
        "z": step("now-idempotent", "${input.name}-z"),
    }
    edges = [f"a>{w}" for w in wide] + [f"{w}>join" for w in wide]
    return graph(nodes, *edges, "a>quick", "quick>join", "join>z")


def storm(
    scene: Scene, *, runs: int, kills: int, workers: int, pause: tuple[float, float], seconds: float
) -> Report:
    """Start `runs` runs, kill workers of `workers` until `kills` were killed, and check all."""
    stack, report = scene.stack, Report(runs=runs)
    name, dice = secrets.token_hex(4), random.Random(kills)  # noqa: S311
    for number in range(2, workers + 1):
        stack.start_worker(number)
    began = time.monotonic()
    ids = scene.start_many(
        scene.workflow(definition()), [{"name": f"{name}-{n}"} for n in range(runs)]
    )
    while report.kills < kills:
        time.sleep(dice.uniform(*pause))
        # Often several at the same moment, so that nobody is left for a while to go on.
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
                stack.report_lost(pid)
    report.stands = scene.at_rest(ids, seconds)
    report.seconds = time.monotonic() - began
    for number in range(2, workers + 1):
        stack.kill_worker(number)
    assert_invariants(stack.database_url, ids)
    _check_calls(scene, name, runs, report)
    [row] = stack.sql(
        "SELECT count(*) AS many FROM step WHERE status = 'parked' AND run_id = ANY(%s::uuid[])",
        [ids],
    )
    report.parked = row["many"]
    return report


def _check_calls(scene: Scene, name: str, runs: int, report: Report) -> None:
    """No unsafe call was made twice, no idempotent one under two keys, none of a finished run
    never."""
    book = scene.book
    for n in range(runs):
        for node, effect in (("a", "unsafe"), ("w2", "unsafe"), ("w1", "same"), ("z", "same")):
            key = f"{name}-{n}-{node}"
            if effect == "unsafe":
                assert book.calls[key] <= 1, f"{key} was called {book.calls[key]} times"
            else:
                assert len(set(book.keys[key])) <= 1, f"{key} has keys {book.keys[key]}"
        report.repeated_reads += sum(book.calls[f"{name}-{n}-{w}"] > 1 for w in ("w0", "w3"))
    finished = scene.stack.sql(
        """SELECT r.input ->> 'name' AS name FROM run r
           WHERE r.status = 'succeeded' AND r.input ->> 'name' LIKE %s""",
        [f"{name}-%"],
    )
    for row in finished:
        for node in ("a", "w0", "w1", "w2", "w3", "z"):
            assert book.calls[f"{row['name']}-{node}"] >= 1, f"{row['name']}-{node} never called"
    [row] = scene.stack.sql(
        "SELECT count(*) AS many FROM effect e JOIN run r ON r.id = e.run_id"
        " WHERE e.state = 'unknown' AND r.input ->> 'name' LIKE %s",
        [f"{name}-%"],
    )
    report.in_doubt = row["many"]

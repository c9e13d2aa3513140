"""What follows from the end of a step, on a ledger that writes to no database."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from controlplane.kit.expressions import ExpressionError
from runs.advance import advance, settle, settle_ending
from runs.lifecycle import Ledger, NeedsLock
from runs.rows import Ended, LockedRun, StepRow
from workflows.graph import Graph, compile_graph

RUN = uuid4()


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cursors are those of `Rows`."""
    monkeypatch.setattr("runs.lifecycle.cursor_of", lambda conn, *args, **options: conn)


class Rows:
    """A connection that knows which steps are open."""

    def __init__(self, scene: "Scene") -> None:
        self.scene = scene

    def execute(self, statement: str, params: Any = None) -> "Rows":
        return self

    def cursor(self) -> "Rows":
        return self

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def fetchall(self) -> list[tuple[UUID, str, bool]]:
        """The answer to the cancelling of open steps."""
        found = []
        for row in self.scene.rows.values():
            if row.status in ("pending", "ready", "waiting", "parked"):
                row.status = "cancelled"
                found.append((row.id, row.node, False))
        return found


class Scene:
    """A run of a small graph in memory; edges as "a>b", joins by name."""

    def __init__(self, *edges: str, joins: dict[str, str] | None = None, **on_error: str) -> None:
        names = sorted({name for edge in edges for name in edge.split(">")})
        definition = {
            "nodes": [
                {
                    "id": name,
                    "kind": "transform",
                    "set": {},
                    "join": (joins or {}).get(name, "all"),
                    "on_error": on_error.get(name, "fail"),
                }
                for name in names
            ],
            "edges": [dict(zip(("from", "to"), edge.split(">"), strict=True)) for edge in edges],
        }
        self.graph: Graph = compile_graph(definition)
        self.rows = {}
        for name, node in self.graph.nodes.items():
            left = len(self.graph.into[name])
            status = "pending" if left else "running"
            key = (RUN, "", name)
            self.rows[key] = StepRow(
                uuid4(), RUN, "", name, status, left, 0, "shared", "cpu", node.kind, 1
            )
        busy = sum(row.status == "running" for row in self.rows.values())
        self.run = LockedRun(
            RUN, uuid4(), uuid4(), uuid4(), "running", "", "", 5, len(self.rows), busy, 0
        )
        self.ledger = Ledger(Rows(self))  # type: ignore[arg-type]
        self.ledger.see(self.run)

    def get(self, keys: Any) -> dict[Any, StepRow]:
        return {key: self.rows[key] for key in keys}

    def end(self, node: str, status: str = "succeeded", *taken: bool, **more: Any) -> None:
        row = self.rows[RUN, "", node]
        edges = taken if taken or status != "succeeded" else (True,) * len(self.graph.out[node])
        ended = Ended(row.id, RUN, "", node, uuid4(), status, edges=tuple(edges), **more)
        if ended.is_over:
            row.status = status
        advance(self.ledger, self.run, self.graph, ended, self)

    def status(self, node: str) -> str:
        return self.rows[RUN, "", node].status

    @property
    def events(self) -> list[str]:
        names = {row.id: row.node for row in self.rows.values()}
        return [f"{e['t']} {names[e['st']]}" if e["st"] else e["t"] for e in self.ledger._events]

    def counts(self) -> tuple[int, int]:
        return self.run.open_steps, self.run.busy_steps


def test_a_step_becomes_ready_when_all_its_edges_are_decided() -> None:
    scene = Scene("a>c", "b>c")
    scene.end("a")
    assert (scene.status("c"), scene.counts()) == ("pending", (2, 1))
    scene.end("b")
    assert (scene.status("c"), scene.counts()) == ("ready", (1, 1))
    assert [row.node for row in scene.ledger.became_ready] == ["c"]


def test_one_taken_edge_of_many_is_enough() -> None:
    scene = Scene("a>c", "b>c")
    scene.end("a", "succeeded", False)
    scene.end("b", "succeeded", True)
    assert scene.status("c") == "ready"


def test_a_step_without_a_taken_edge_is_skipped_with_all_behind_it() -> None:
    scene = Scene("a>b", "b>c", "c>d", "x>d")
    scene.end("a", "succeeded", False)
    assert [scene.status(n) for n in "bcd"] == ["skipped", "skipped", "pending"]
    assert scene.counts() == (2, 1)
    assert scene.events == ["step.succeeded a", "step.skipped b", "step.skipped c"]
    scene.end("x")
    assert scene.status("d") == "ready"


def test_a_skip_that_reaches_the_end_of_everything_leaves_no_step_open() -> None:
    scene = Scene("a>b", "a>c", "b>d", "c>d")
    scene.end("a", "succeeded", False, False)
    assert scene.counts() == (0, 0)


def test_a_join_any_runs_at_the_first_taken_edge() -> None:
    scene = Scene("a>c", "b>c", joins={"c": "any"})
    scene.end("a", "succeeded", False)
    assert scene.status("c") == "pending"
    scene.end("b")
    assert scene.status("c") == "ready"


def test_a_join_any_ignores_later_edges() -> None:
    scene = Scene("a>c", "b>c", joins={"c": "any"})
    scene.end("a")
    scene.rows[RUN, "", "c"].status = "succeeded"
    left = scene.rows[RUN, "", "c"].deps_left
    scene.end("b")
    assert (scene.status("c"), scene.rows[RUN, "", "c"].deps_left) == ("succeeded", left)
    assert len(scene.ledger.became_ready) == 1


def test_a_join_any_without_a_taken_edge_is_skipped() -> None:
    scene = Scene("a>c", "b>c", joins={"c": "any"})
    scene.end("a", "succeeded", False)
    scene.end("b", "succeeded", False)
    assert scene.status("c") == "skipped"


def test_a_long_line_of_skips_needs_no_deep_stack() -> None:
    scene = Scene(*[f"n{i:04}>n{i + 1:04}" for i in range(1_999)])
    scene.end("n0000", "succeeded", False)
    assert scene.counts() == (0, 0)


def test_a_failure_that_is_borne_counts_its_edges() -> None:
    scene = Scene("a>b", a="continue")
    scene.end("a", "failed", True, error={"code": "x", "message": "y"})
    assert scene.status("b") == "ready"
    assert scene.ledger._events[0]["d"]["error"] == {"code": "x", "message": "y"}


def test_a_step_that_ended_without_deciding_its_edges_takes_none() -> None:
    scene = Scene("a>b", "x>c")
    scene.end("a", "cancelled")
    assert scene.status("b") == "skipped"


def test_a_fatal_end_cancels_what_is_open_and_waits_for_what_runs() -> None:
    scene = Scene("a>c", "b>c")
    scene.end("a", "failed", is_fatal=True, reason="boom", error={"code": "boom", "message": "m"})
    assert (scene.run.status, scene.run.end_status, scene.run.reason) == (
        "cancelling",
        "failed",
        "boom",
    )
    assert scene.run.error["node"] == "a"
    assert (scene.status("c"), scene.counts()) == ("cancelled", (1, 1))
    settle_ending(scene.ledger, scene.run)
    assert scene.run.status == "cancelling"
    scene.end("b")
    settle_ending(scene.ledger, scene.run)
    assert (scene.run.status, scene.counts()) == ("failed", (0, 0))


def test_a_fatal_end_needs_the_lock() -> None:
    scene = Scene("a>b")
    scene.ledger.is_locked = False
    with pytest.raises(NeedsLock):
        scene.end("a", "failed", is_fatal=True)


def test_a_second_failure_does_not_replace_the_first() -> None:
    scene = Scene("a>c", "b>c")
    scene.end("a", "failed", is_fatal=True, reason="first")
    scene.end("b", "failed", is_fatal=True, reason="second")
    assert scene.run.reason == "first"
    assert scene.events.count("run.cancelling") == 1


def test_what_became_ready_in_the_same_commit_is_cancelled_by_a_fatal_end() -> None:
    scene = Scene("a>c", "b>d", "x>d")
    scene.end("a")
    scene.rows[RUN, "", "c"].status = "pending"  # as the database has it still
    scene.end("b", "failed", is_fatal=True)
    assert (scene.ledger.became_ready, scene.status("c")) == ([], "cancelled")
    assert scene.counts() == (1, 1)


@pytest.mark.parametrize("waits", [{"retry_in_ms": 10}, {"reason": "reconcile"}])
@pytest.mark.parametrize("is_first", [True, False])
def test_in_an_ending_run_nothing_is_repeated_or_waited_for(
    waits: dict[str, Any], is_first: bool
) -> None:
    scene = Scene("a>c", "b>c")
    status = "failed" if "retry_in_ms" in waits else "waiting"
    work = [
        lambda: scene.end("a", status, **waits),
        lambda: scene.end("b", "failed", is_fatal=True, reason="boom"),
    ]
    for step in work if is_first else reversed(work):
        step()
    settle_ending(scene.ledger, scene.run)
    assert (scene.run.status, scene.counts()) == ("failed", (0, 0))
    assert scene.ledger._retries == []
    assert {row["status"] for row in scene.ledger._ends} == {"cancelled", "failed"}
    assert "step.cancelled a" in scene.events


def test_an_attempt_to_be_repeated_keeps_the_step_open() -> None:
    scene = Scene("a>b")
    scene.end("a", "failed", retry_in_ms=50, attempt=2, error={"code": "x"})
    assert scene.counts() == (2, 0)
    event = scene.ledger._events[0]
    assert (event["t"], event["d"]["attempt"], event["d"]["retry_in_ms"]) == (
        "step.retrying",
        2,
        50,
    )


def test_a_run_with_nothing_but_waiting_steps_waits_and_then_goes_on() -> None:
    scene = Scene("a>b")
    scene.end("a", "failed", retry_in_ms=50)
    scene.ledger._settle(scene.run)
    assert scene.run.status == "waiting"
    scene.run.busy_steps += 1
    scene.ledger._settle(scene.run)
    assert scene.run.status == "running"
    assert scene.events[-2:] == ["run.waiting", "run.resumed"]


def test_events_are_numbered_without_gaps() -> None:
    scene = Scene("a>b", "a>c")
    scene.end("a", "succeeded", True, False)
    assert [event["n"] for event in scene.ledger._events] == [6, 7]
    assert (scene.run.was, scene.run.last_seq) == (5, 7)


def test_a_run_ends_once_with_its_output() -> None:
    scene = Scene("a>b")
    scene.end("a", "succeeded", False)
    for _ in range(2):
        settle(scene.ledger, scene.run, scene.graph, lambda run, graph: {"x": 1})
    assert (scene.run.status, scene.run.output) == ("succeeded", {"x": 1})
    assert scene.events.count("run.succeeded") == 1


def test_a_run_with_an_open_step_does_not_end() -> None:
    scene = Scene("a>b")
    settle(scene.ledger, scene.run, scene.graph, lambda run, graph: {"x": 1})
    assert scene.run.status == "running"


def test_an_output_that_cannot_be_rendered_or_stored_fails_the_run() -> None:
    def unrendered(run: LockedRun, graph: Graph) -> Any:
        raise ExpressionError("no such key")

    for render, code in (
        (unrendered, "expression_error"),
        (lambda *_: "\0", "output_not_storable"),
    ):
        scene = Scene("a>b")
        scene.end("a", "succeeded", False)
        settle(scene.ledger, scene.run, scene.graph, render)
        assert (scene.run.status, scene.run.reason, scene.run.error["code"]) == (
            "failed",
            code,
            code,
        )


def test_what_a_step_used_is_added_to_its_run() -> None:
    scene = Scene("a>b", "c>b")
    call = {"kind": "model", "row": {"id": 1}, "event": {"model": "m"}}
    scene.end("a", "failed", retry_in_ms=1, input_tokens=3, calls=[call])
    scene.end("c", input_tokens=4, output_tokens=1, unpriced_calls=1)
    run = scene.run
    assert (run.input_tokens, run.output_tokens, run.unpriced_calls) == (7, 1, 1)
    assert scene.ledger._calls["model"] == [{"id": 1}]
    assert scene.events[0] == "model.called a"

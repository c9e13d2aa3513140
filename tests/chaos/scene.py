"""A running Spark-Ops that may be broken, a user, and tools that call the counting server."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.chaos.counter import Book
from tests.engine.house import graph
from tests.engine.invariants import assert_invariants
from tests.support.stack import Stack

ENDED = ("succeeded", "failed", "cancelled", "timed_out")
CLASSES = {"read": "GET", "idempotent": "POST", "unsafe": "POST"}


class Scene:
    """What the fault tests share."""

    def __init__(self, stack: Stack, book: Book) -> None:
        self.stack, self.book = stack, book
        self.user = stack.register("Cora")
        for how in ("now", "held", "slow"):
            for effect, method in CLASSES.items():
                self.user.made(
                    "/tools",
                    {
                        "project": self.user.project,
                        "slug": f"{how}-{effect}",
                        "name": f"{how} {effect}",
                        "kind": "http",
                        "config": {
                            "method": method,
                            "url": f"http://{book.address}/{how}/{{name}}",
                            "allowed_hosts": [book.address.partition(":")[0]],
                        },
                        "effect_class": effect,
                        "stakes": "write",
                        "timeout_seconds": 60,
                    },
                )
        self.user.make_tool("sleep", "sleep")
        self.user.make_tool("noop", "noop")
        self._slugs = 0

    def checkable(self, slug: str, asked: dict[str, Any]) -> str:
        """A checkable tool whose calls are held up, and whose check is called with `asked`; its
        slug."""
        config = {"allowed_hosts": [self.book.address.partition(":")[0]]}
        common = {"project": self.user.project, "kind": "http", "timeout_seconds": 60}
        told = f"told-{slug}"
        url = f"http://{self.book.address}"
        read = {**config, "method": "GET", "url": f"{url}/told/{{name}}"}
        held = {
            **config, "method": "POST", "url": f"{url}/held/{{name}}",
            "idempotency_header": "Idempotency-Key",
        }  # fmt: skip
        check = {
            "tool": told, "arguments": asked, "done": "output.happened",
            "output": {"found": "${output.n}"},
        }  # fmt: skip
        self.user.made(
            "/tools", {**common, "slug": told, "name": told, "config": read, "effect_class": "read"}
        )
        self.user.made(
            "/tools",
            {
                **common, "slug": slug, "name": slug, "config": held, "effect_class": "checkable",
                "effect_check": check,
            },
        )  # fmt: skip
        return slug

    def workflow(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Made and published."""
        self._slugs += 1
        return self.user.make_workflow(f"w{self._slugs}", definition)

    def start_many(self, workflow: dict[str, Any], inputs: Iterable[Any]) -> list[str]:
        """Start runs in batches; their ids."""
        bodies = [{"workflow": workflow["id"], "environment": "dev", "input": i} for i in inputs]
        ids: list[str] = []
        for first in range(0, len(bodies), 500):
            made = self.user.made("/runs/batch", {"runs": bodies[first : first + 500]})
            ids += [result["run"]["id"] for result in made["results"]]
        return ids

    def until(self, done: Callable[[], bool], seconds: float, what: str) -> float:
        """Poll; answers how long it took."""
        began = time.monotonic()
        while not done():
            waited = time.monotonic() - began
            assert waited < seconds, f"{what}: not within {seconds:g} s\n{self.stack.logs()}"
            # The longer it takes, the more rarely it is asked: asking costs too.
            time.sleep(min(0.02 + waited / 50, 1.0))
        return time.monotonic() - began

    def called(self, name: str, count: int = 1, seconds: float = 20) -> float:
        """Wait until a name was called so often."""
        return self.until(
            lambda: self.book.calls[name] >= count, seconds, f"call {count} of {name}"
        )

    def status(self, run_ids: Iterable[str]) -> dict[str, int]:
        """How many of these runs stand where."""
        rows = self.stack.sql(
            "SELECT status, count(*) AS many FROM run WHERE id = ANY(%s::uuid[]) GROUP BY 1",
            [list(run_ids)],
        )
        return {row["status"]: row["many"] for row in rows}

    def at_rest(self, run_ids: Iterable[str], seconds: float) -> dict[str, int]:
        """Wait until every run has ended or waits for a person, check the invariants; how they
        stand."""
        ids = list(run_ids)
        rest = (*ENDED, "waiting")
        self.until(
            lambda: set(self.status(ids)) <= set(rest) and not self.backing_off(ids),
            seconds,
            f"{len(ids)} runs at rest, not {self.status(ids)}",
        )
        assert_invariants(self.stack.database_url, ids)
        return self.status(ids)

    def backing_off(self, run_ids: list[str]) -> bool:
        """Whether a waiting step goes on by itself."""
        return bool(
            self.stack.sql(
                "SELECT 1 FROM step WHERE run_id = ANY(%s::uuid[]) AND status = 'waiting'"
                " AND reason <> 'reconcile' LIMIT 1",
                [run_ids],
            )
        )

    def three_calls(self, effect: str) -> dict[str, Any]:
        """Before, in the middle of and after a call that is held up."""
        return graph(
            {
                "before": step(f"now-{effect}", "${input.name}-before"),
                "held": step(f"held-{effect}", "${input.name}-held"),
                "after": step(f"now-{effect}", "${input.name}-after"),
            },
            "before>held",
            "held>after",
        )


def step(tool: str, name: str, **fields: Any) -> dict[str, Any]:
    """A tool node that calls the counting server under a name."""
    return {"kind": "tool", "tool": tool, "arguments": {"name": name}, **fields}

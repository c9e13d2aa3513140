"""What a handler is given and what it answers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


class TaskFailed(Exception):
    """Raised by a handler: the task did not succeed. `retryable`: it may be tried again, after
    `retry_after` seconds where that is given."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "worker_failed",
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.code = message, code
        self.retryable, self.retry_after = retryable, retry_after

    def as_dict(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "message": self.message[:4_000] or "No message.",
            "code": self.code,
            "retryable": self.retryable,
            "retry_after": self.retry_after,
        }


@dataclass(frozen=True)
class Answer:
    """What came of a task. `data` must fit the task's `output_schema`, where it has one; `cost` in
    US dollars, None where it is not known."""

    text: str = ""
    data: Any = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None

    def as_dict(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "text": self.text,
            "data": self.data,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": None if self.cost is None else f"{self.cost:f}",
        }


@dataclass
class Task:
    """One leased task. `cancelled` is set when nobody wants its answer any more."""

    lease: str
    run: str
    step: str
    attempt: int
    environment: str
    agent: str
    version: int
    entrypoint: str
    prompt: str
    output_schema: dict[str, Any] | None
    timeout_seconds: float | None
    simulated: bool
    expires_at: str
    write: Callable[[str, str, str, Any], None] = field(repr=False)
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    def log(self, level: str, message: str, data: Any = None) -> None:
        """One line of the run's log; debug, info, warning or error. Best effort."""
        self.write(self.lease, level, message, data)


def make_task(told: dict[str, Any], write: Callable[[str, str, str, Any], None]) -> Task:
    """A task from what the API says."""
    agent = told["agent"]
    return Task(
        lease=told["lease"],
        run=told["run"],
        step=told["step"],
        attempt=told["attempt"],
        environment=told["environment"],
        agent=agent["slug"],
        version=agent["version"],
        entrypoint=agent["entrypoint"],
        prompt=told["prompt"],
        output_schema=told["output_schema"],
        timeout_seconds=told["timeout_seconds"],
        simulated=told["simulated"],
        expires_at=told["expires_at"],
        write=write,
    )

"""The door to governance: may this happen? Answered by what settings.GATE names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.utils.module_loading import import_string

Point = Literal["run.start", "step.before", "model.call", "tool.call", "output", "deploy"]
POINTS: tuple[Point, ...] = (
    "run.start",
    "step.before",
    "model.call",
    "tool.call",
    "output",
    "deploy",
)


@dataclass(frozen=True)
class Verdict:
    """allow, warn, require_approval or deny, with the reason and the policies that matched."""

    outcome: Literal["allow", "warn", "require_approval", "deny"] = "allow"
    code: str = ""
    reason: str = ""
    policies: tuple[str, ...] = ()
    # Of require_approval: {quorum, due_seconds, on_timeout}, as the strictest policy says.
    approval: Mapping[str, Any] | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the act may go on at once."""
        return self.outcome in ("allow", "warn")


ALLOW = Verdict()


@cache
def _gate() -> Any:
    return import_string(settings.GATE)


def check(point: Point, context: Mapping[str, Any]) -> Verdict:
    """The verdict on an act at a point. `context` holds at least project_id."""
    return _gate()(point, context)

"""The table of functions that can be tools, filled by a decorator."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings

from tools.calls import CallContext, Pool

# Read at the first question, with those that settings.SPARKOPS_FUNCTIONS names.
MODULES = ("tools.functions.builtin",)
_found: dict[str, "Function"] = {}


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a function may ask while it runs."""

    _call: CallContext
    timeout_seconds: float

    @property
    def idempotency_key(self) -> str:
        """The same for every repetition of one call; empty for calls that only read."""
        return self._call.idempotency_key

    def log(self, message: str, level: str = "info", **data: Any) -> None:
        """One line in the run's log."""
        self._call.log(level, message, data or None)

    def is_cancelled(self) -> bool:
        """Whether to stop early."""
        return self._call.is_cancelled()


@dataclass(frozen=True, slots=True)
class Function:
    """A function with what a tool of it begins with."""

    name: str
    run: Callable[[dict[str, Any], ToolContext], Any]
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    effect_class: str
    stakes: str
    pool: Pool


def function(
    name: str,
    *,
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    effect_class: str = "unsafe",
    stakes: str = "write",
    is_instant: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offer `f(arguments, context) -> JSON value` as a tool.

    An async function waits on others; a plain one gets a thread, or none where `is_instant` says
    that it is over in microseconds. `effect_class="read"` promises that calling it twice changes
    nothing. It fails by raising ToolError or anything else.
    """

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        if name in _found:
            raise ValueError(f"There are two functions named {name}.")
        pool: Pool = "inline" if is_instant else "cpu"
        if inspect.iscoroutinefunction(run):
            pool = "io"
        _found[name] = Function(
            name,
            run,
            inspect.getdoc(run) or "",
            input_schema or {"type": "object"},
            output_schema,
            effect_class,
            stakes,
            pool,
        )
        return run

    return register


@cache
def _load() -> None:
    for module in (*MODULES, *getattr(settings, "SPARKOPS_FUNCTIONS", ())):
        import_module(module)


def get(name: str) -> Function | None:
    """The function of that name, or None."""
    _load()
    return _found.get(name)


def names() -> list[str]:
    """All names, sorted."""
    _load()
    return sorted(_found)

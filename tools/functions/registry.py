"""The table of functions that can be tools, filled by a decorator."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from django.conf import settings

from controlplane.kit.egress.addresses import host_matches
from tools.calls import CallContext, Pool, SecretValue, ToolError

# Read at the first question, with those that settings.SPARKOPS_FUNCTIONS names, and those that
# installed packages offer as entry points of this group.
MODULES = (
    "tools.functions.builtin",
    "tools.functions.numbers",
    "tools.functions.dates",
    "tools.functions.transform",
    "tools.functions.web",
    "tools.functions.mail",
    "tools.functions.sql",
)
ENTRY_POINTS = "sparkops.functions"
_found: dict[str, "Function"] = {}


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a function may ask while it runs."""

    _call: CallContext
    timeout_seconds: float
    # What the tool's owner set for the function.
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def idempotency_key(self) -> str:
        """The same for every repetition of one call; empty for calls that only read."""
        return self._call.idempotency_key

    def secret(self) -> SecretValue:
        """The secret that the options name. ToolError `secret_not_found` where there is none. Its
        value goes nowhere before `check_host`."""
        found = self._call.secrets.get(str(self.options.get("secret") or ""))
        if found is None:
            raise ToolError("This tool has no secret in its options.", code="secret_not_found")
        return found

    def check_host(self, secret: SecretValue, host: str, port: int) -> None:
        """ToolError `secret_host_refused` where a secret is not bound to the host of a call."""
        if not any(host_matches(host, port, pattern) for pattern in secret.allowed_hosts):
            bound = ", ".join(secret.allowed_hosts) or "no host"
            raise ToolError(
                f"The secret {secret.name} is bound to {bound} and may not be sent to {host}.",
                code="secret_host_refused",
            )

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
    options_schema: Mapping[str, Any] | None = None


def function(
    name: str,
    *,
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    effect_class: str = "unsafe",
    stakes: str = "write",
    is_instant: bool = False,
    options_schema: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offer `f(arguments, context) -> JSON value` as a tool.

    An async function waits on others; a plain one gets a thread, or none where `is_instant` says
    that it is over in microseconds. `effect_class="read"` promises that calling it twice changes
    nothing. `options_schema` describes what the owner of a tool may set once for all its calls,
    under the key `options` of its config; the option `secret` is the name of a secret, which
    `context.secret()` gives. It fails by raising ToolError or anything else.
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
            options_schema,
        )
        return run

    return register


@cache
def _load() -> None:
    for module in (*MODULES, *getattr(settings, "SPARKOPS_FUNCTIONS", ())):
        import_module(module)
    for point in entry_points(group=ENTRY_POINTS):
        point.load()


def get(name: str) -> Function | None:
    """The function of that name, or None."""
    _load()
    return _found.get(name)


def names() -> list[str]:
    """All names, sorted."""
    _load()
    return sorted(_found)

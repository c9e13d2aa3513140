"""Functions the engine's tests use as tools: they count their calls, fail on order, take time."""

import asyncio
import threading
import time
from collections import Counter
from typing import Any

from tools.calls import ToolError
from tools.functions.registry import ToolContext, function

_lock = threading.Lock()
CALLS: Counter[str] = Counter()
KEYS: dict[str, list[str]] = {}
# What `ledger` answers, by name.
SAID: dict[str, Any] = {}
# Set by a test to let the calls of `held` go on.
GATES: dict[str, threading.Event] = {}


def _count(arguments: dict[str, Any], context: ToolContext) -> int:
    name = str(arguments.get("name", ""))
    with _lock:
        CALLS[name] += 1
        KEYS.setdefault(name, []).append(context.idempotency_key)
        return CALLS[name]


@function("counted", effect_class="unsafe", is_instant=True)
def counted(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Counts; fails its first `failures` calls, with `retry_after` if given."""
    n = _count(arguments, context)
    if n <= arguments.get("failures", 0):
        raise ToolError(
            f"failure {n}",
            code="flaky",
            retryable=arguments.get("retryable", True),
            retry_after_seconds=arguments.get("retry_after"),
            fate=arguments.get("fate", "answered"),
        )
    return {"n": n, "name": arguments.get("name")}


@function("counted_read", effect_class="read")
def counted_read(arguments: dict[str, Any], context: ToolContext) -> Any:
    """The same on a thread, reading only."""
    return counted(arguments, context)


@function("held", effect_class="unsafe")
def held(arguments: dict[str, Any], context: ToolContext) -> Any:
    """On a thread: waits for its gate, deaf to cancelling unless `hears`."""
    _count(arguments, context)
    gate, until = GATES[arguments["name"]], time.monotonic() + arguments.get("seconds", 20)
    while not gate.wait(0.01) and time.monotonic() < until:
        if arguments.get("hears") and context.is_cancelled():
            raise ToolError("The call was cancelled.", code="cancelled", fate="answered")
    if arguments.get("fails"):
        raise ToolError("failed late", code="late", retryable=True, fate=arguments["fails"])
    return {"done": True}


@function("held_read", effect_class="read")
def held_read(arguments: dict[str, Any], context: ToolContext) -> Any:
    """`held`, reading only."""
    return held(arguments, context)


@function("held_io", effect_class="unsafe")
async def held_io(arguments: dict[str, Any], context: ToolContext) -> Any:
    """`held` on the event loop."""
    _count(arguments, context)
    gate = GATES[arguments["name"]]
    while not gate.is_set():
        await asyncio.sleep(0.01)
    if arguments.get("fails"):
        raise ToolError("failed late", code="late", retryable=True, fate=arguments["fails"])
    return {"done": True}


@function("held_io_read", effect_class="read")
async def held_io_read(arguments: dict[str, Any], context: ToolContext) -> Any:
    """`held_io`, reading only."""
    return await held_io(arguments, context)


@function("odd", effect_class="read", is_instant=True)
def odd(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Answers with what cannot be stored."""
    odd_values = {
        "nul": "a\x00b",
        "nan": float("nan"),
        "infinity": float("inf"),
        "surrogate": "\ud800",
        "big": 2**70,
        "set": {1, 2},
        "large": "x" * (4 * 1024 * 1024 + 1),
    }
    return {"value": odd_values[arguments["what"]]}


@function("odd_error", effect_class="read", is_instant=True)
def odd_error(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Fails with what cannot be stored."""
    raise ToolError(
        "bad \x00 \ud800 word", code="odd", fate="answered", response={"body": "\x00\ud800"}
    )


@function("chatty", effect_class="read", is_instant=True)
def chatty(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Logs `lines` lines."""
    for number in range(arguments["lines"]):
        context.log(f"line {number}", data={"n": number})
    return {}


@function("ledger", effect_class="read", is_instant=True)
def ledger(arguments: dict[str, Any], context: ToolContext) -> Any:
    """What became of the calls of `name`: SAID if a test set that, else whether there were any."""
    name = arguments["name"]
    with _lock:
        CALLS[f"ledger-{name}"] += 1
        KEYS.setdefault(f"ledger-{name}", []).append(str(arguments.get("key")))
    said = SAID.get(name)
    if isinstance(said, Exception):
        raise said
    return {"happened": CALLS[name] > 0, "n": CALLS[name]} if said is None else said


@function("keyed", effect_class="unsafe", is_instant=True)
def keyed(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Tells the key of its call."""
    _count(arguments, context)
    return {"key": context.idempotency_key}

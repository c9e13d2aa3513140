"""Tools that tell when they ran, for W7 and W10; the instance under test loads them by
SPARKOPS_FUNCTIONS."""

import time
from pathlib import Path
from typing import Any

from tools.functions.registry import ToolContext, function


@function("clock", effect_class="read", stakes="read", is_instant=True)
def clock(arguments: dict[str, Any], context: ToolContext) -> Any:
    """The machine's monotonic clock, which all its processes share."""
    return {"monotonic_ns": time.monotonic_ns()}


@function("tally", effect_class="read", stakes="read")
def tally(arguments: dict[str, Any], context: ToolContext) -> Any:
    """One more line, with the time, in a file."""
    with Path(arguments["file"]).open("a") as file:
        file.write(f"{time.time()}\n")
    return {}


@function("stumble", effect_class="read", stakes="read")
def stumble(arguments: dict[str, Any], context: ToolContext) -> Any:
    """The same; the first time it then takes longer than its worker lives."""
    is_first = not Path(arguments["file"]).exists()
    tally(arguments, context)
    until = time.monotonic() + (120 if is_first else 0)
    while time.monotonic() < until and not context.is_cancelled():
        time.sleep(0.05)
    return {}

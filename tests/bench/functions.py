"""A tool that tells when it ran, for W7; the instance under test loads it by SPARKOPS_FUNCTIONS."""

import time
from typing import Any

from tools.functions.registry import ToolContext, function


@function("clock", effect_class="read", stakes="read", is_instant=True)
def clock(arguments: dict[str, Any], context: ToolContext) -> Any:
    """The machine's monotonic clock, which all its processes share."""
    return {"monotonic_ns": time.monotonic_ns()}

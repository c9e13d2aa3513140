"""Functions that are always installed: nothing, an echo, a pause and a failure."""

import asyncio
from typing import Any

from tools.calls import ToolError
from tools.functions.registry import ToolContext, function

# How soon a sleeper notices that it was cancelled.
_NAP_SECONDS = 0.5


@function("noop", effect_class="read", stakes="read", is_instant=True)
def noop(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Do nothing."""
    return {}


@function("echo", effect_class="read", stakes="read", is_instant=True)
def echo(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Give the arguments back."""
    return arguments


@function(
    "sleep",
    effect_class="read",
    stakes="read",
    input_schema={
        "type": "object",
        "properties": {"seconds": {"type": "number", "minimum": 0, "maximum": 86_400}},
        "required": ["seconds"],
    },
)
async def sleep(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Wait some seconds; stops early when the call is cancelled."""
    clock = asyncio.get_running_loop().time
    until = clock() + arguments["seconds"]
    while (left := until - clock()) > 0:
        await asyncio.sleep(min(left, _NAP_SECONDS))
        if context.is_cancelled():
            raise ToolError("The call was cancelled.", code="cancelled")
    return {"seconds": arguments["seconds"]}


@function(
    "fail",
    effect_class="read",
    stakes="read",
    is_instant=True,
    input_schema={
        "type": "object",
        "properties": {"message": {"type": "string"}, "retryable": {"type": "boolean"}},
    },
)
def fail(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Fail with a message; a retry is worth a try unless `retryable` is false."""
    raise ToolError(
        arguments.get("message") or "Failed on purpose.",
        code="failed",
        retryable=arguments.get("retryable", True),
        fate="answered",
    )

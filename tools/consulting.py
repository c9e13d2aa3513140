"""The test console of tools that are agents: the agent works for real while a person waits."""

import asyncio
from typing import Any

from django.db import connection

from controlplane.kit.loop import background_loop
from tools import limits
from tools.calling import call_tool
from tools.calls import CallContext, Result, ToolCallable, ToolError
from tools.kinds.agent import directory


def consult(
    called: ToolCallable, arguments: dict[str, Any], *, actor: Any, within_seconds: float
) -> Result:
    """Call a tool that is an agent; `response` tells the calls it made, with tokens and cost.
    ToolError where it fails, with the same."""
    talk = directory().talk(called.project_id, called.config["agent"], actor)
    context = CallContext(timeout_seconds=within_seconds, call_agent=talk.ask)
    limits.wait_blocking(called, within_seconds=min(called.timeout_seconds, within_seconds))
    if not connection.in_atomic_block:
        # No connection is held while the agent works.
        connection.close()
    try:
        result = asyncio.run_coroutine_threadsafe(
            call_tool(called, arguments, context=context), background_loop()
        ).result()
    except ToolError as exc:
        exc.response = {**talk.totals(), "turns": talk.turns}
        raise
    finally:
        talk.keep()
    result.response = {**talk.totals(), "turns": talk.turns}
    return result

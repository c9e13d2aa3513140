"""What a step does before it calls a tool with a rate limit: it has a place in time, or waits for
one as any step waits, holding no thread, worker or connection."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from runs.work import StepWork, Waits
from tools import limits
from tools.calls import ToolCallable
from tools.limits import Place

REASON = "rate_limited"
# A place nearer than this is awaited in the worker, on the event loop …
NEAR_SECONDS = 1.0
# … and a step on a thread, which would hold it, goes no nearer than this.
NEAR_ON_THREAD_SECONDS = 0.25


def place_now(step: StepWork, tool: ToolCallable) -> Place | Waits:
    """A place that begins within NEAR_SECONDS, or the step's waiting for one. ToolError
    `rate_limited` where the tool refuses calls beyond its limit."""
    near = NEAR_ON_THREAD_SECONDS if step.is_on_thread else NEAR_SECONDS
    place = None
    if told := step.state.pop("place", None):
        place = limits.kept(tool, datetime.fromisoformat(told))
    if place is None or place.is_lost:
        place = limits.take_released(tool)
    if place.seconds <= near:
        return place
    # Woken a little early, so that the place is not lost on the way to a worker.
    until = place.at - timedelta(seconds=near / 2)
    return Waits(REASON, until=until, state=_kept(step, place))


def _kept(step: StepWork, place: Place) -> dict[str, Any]:
    return {**step.state, "place": place.at.isoformat()}


async def reach(step: StepWork, tool: ToolCallable) -> Place | Waits:
    """`place_now`, slept for."""
    while True:
        found = await asyncio.to_thread(place_now, step, tool)
        if isinstance(found, Waits):
            return found
        await asyncio.sleep(found.seconds)
        if not found.is_lost:
            return found


def reach_blocking(step: StepWork, tool: ToolCallable) -> Place | Waits:
    """The same on a thread; a cancelled step stops waiting."""
    while True:
        found = place_now(step, tool)
        if isinstance(found, Waits):
            return found
        step.stop.wait(found.seconds)
        step.check_cancelled()
        if not found.is_lost:
            return found

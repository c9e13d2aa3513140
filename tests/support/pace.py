"""A yardstick for bounds of work: this machine's speed, asked in the same moment."""

import time
from collections.abc import Callable
from typing import Any

AT_ONCE_SECONDS = 0.25


def lap() -> float:
    """Seconds of this thread's time that a fixed loop takes now."""
    began = time.thread_time()
    total = 0
    for number in range(400_000):
        total += len(str(number))
    assert total
    return time.thread_time() - began


def laps(work: Callable[[], Any]) -> tuple[float, Any]:
    """(how many laps of a fixed loop the work took, its result); a lap is about 0.05 s of this
    thread's time on a usual machine, and longer on a slow or a busy one, as the work is. Work that
    is over at once counts as none, so that asking costs nothing."""
    began = time.thread_time()
    result = work()
    took = time.thread_time() - began
    return (took / max(lap(), lap()) if took > AT_ONCE_SECONDS else 0.0), result

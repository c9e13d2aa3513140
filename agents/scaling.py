"""How many instances the work asks for: pure, no ORM, no clock of its own."""

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

# Of the places of an instance so many should be busy.
UTILISATION = 0.8
THROTTLED_SHARE = 0.05
# Fewer calls than this say nothing about a share.
FEW_CALLS = 10
AUTOSCALE_DEFAULTS: dict[str, float] = {
    "queue_target": UTILISATION,
    "max_age_seconds": 30,
    "cooldown_seconds": 300,
}


@dataclass(frozen=True, slots=True)
class Signal:
    """What is seen of a deployment: steps that wait and that are worked on, how long the oldest
    has waited, and the model calls of the last minute with those the provider refused (429)."""

    queued: int = 0
    running: int = 0
    oldest_seconds: float = 0.0
    calls: int = 0
    throttled: int = 0

    @property
    def throttled_share(self) -> float:
        """The share of the calls that were throttled."""
        return self.throttled / self.calls if self.calls else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For history and events."""
        return {**asdict(self), "oldest_seconds": round(self.oldest_seconds, 1)}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an autoscaled deployment may have, and how it decides."""

    least: int
    most: int
    concurrency: int
    queue_target: float = UTILISATION
    max_age_seconds: float = 30
    cooldown_seconds: float = 300


@dataclass(frozen=True, slots=True)
class Decision:
    """The number of instances, why, and whether more were asked for but refused."""

    desired: int
    reason: str = ""
    is_refused: bool = False


@dataclass(slots=True)
class Memory:
    """What was wanted lately, as (when, how many): scaling in waits until all of it is lower."""

    wanted: deque[tuple[float, int]] = field(default_factory=deque)
    since: float | None = None


def wanted(signal: Signal, bounds: Bounds, desired: int) -> tuple[int, str]:
    """(instances for the work there is, in words why), before any bound."""
    work = signal.queued + signal.running
    count = math.ceil(work / (bounds.concurrency * bounds.queue_target))
    words = f"{signal.queued} queued and {signal.running} running ask for {count}"
    if signal.queued and signal.oldest_seconds > bounds.max_age_seconds and count <= desired:
        count = desired + 1
        words = (
            f"the oldest of {signal.queued} queued has waited {signal.oldest_seconds:.0f} s, "
            f"longer than {bounds.max_age_seconds:g} s"
        )
    return count, words


def decide(signal: Signal, bounds: Bounds, desired: int, memory: Memory, now: float) -> Decision:
    """How many instances there should be. Out at once; in only when for the whole cooldown less
    was wanted, to the most that was; not out while the provider throttles. `now` in seconds."""
    want, words = wanted(signal, bounds, desired)
    want = min(max(want, bounds.least), bounds.most)
    memory.since = now if memory.since is None else memory.since
    memory.wanted.append((now, want))
    while memory.wanted and memory.wanted[0][0] < now - bounds.cooldown_seconds:
        memory.wanted.popleft()
    floor = min(max(desired, bounds.least), bounds.most)
    if floor != desired:
        return Decision(floor, f"{desired} lies outside {bounds.least} to {bounds.most}")
    if want > desired:
        if signal.calls >= FEW_CALLS and signal.throttled_share > THROTTLED_SHARE:
            share = f"{signal.throttled_share:.0%}"
            reason = (
                f"{words}, but the provider throttles {share} of the calls: more would not help"
            )
            return Decision(desired, reason, is_refused=True)
        return Decision(want, words)
    is_watched = now - memory.since >= bounds.cooldown_seconds
    peak = max(count for _, count in memory.wanted)
    if want < desired and is_watched and peak < desired:
        quiet = f"for {bounds.cooldown_seconds:g} s no more than {peak} was needed"
        return Decision(peak, quiet)
    return Decision(desired)

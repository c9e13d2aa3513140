"""Where in time the next call of a limited tool has its place: pure, knows no clock or database.

The places given away are kept as runs `[seconds, how many]`, the oldest first, their times rounded
up to a grain, so that few runs tell of many places.
"""

import math

# Of a window, the share by which a call may be late against its place; see `lateness`.
_LATE_SHARE = 0.05
_LEAST_LATE_SECONDS = 0.02
_MOST_LATE_SECONDS = 1.0
_GRAINS = 128

Runs = list[list[float]]


def lateness(per_seconds: float) -> float:
    """How many seconds after its place a call may begin. Later than that the place is lost and
    another is needed, for late calls would meet those of the next window."""
    return max(_LEAST_LATE_SECONDS, min(_MOST_LATE_SECONDS, per_seconds * _LATE_SHARE))


def _span(per_seconds: float) -> float:
    return per_seconds + lateness(per_seconds)


def place(runs: Runs, now: float, *, limit: int, per_seconds: float) -> float:
    """When the next call may begin: `now` where there is room, else later; never before those who
    asked earlier. `now` and the answer in seconds since 1970.

    Places are counted over a window that is longer by the grace of a call, so that no
    `per_seconds` hold more than `limit` calls, whatever they make of their grace.
    """
    span = _span(per_seconds)
    at = max(now, runs[-1][0] - span / _GRAINS) if runs else now
    counted = 0.0
    for when, count in reversed(runs):
        counted += count
        if counted >= limit:
            return max(at, when + span)
    return at


def add(runs: Runs, at: float, *, limit: int, per_seconds: float) -> Runs:
    """The runs with one place more at `at`, without those that no later place needs to know."""
    grain = _span(per_seconds) / _GRAINS
    when = math.ceil(at / grain) * grain
    kept = [list(run) for run in runs]
    if kept and when <= kept[-1][0]:
        kept[-1][1] += 1
    else:
        kept.append([when, 1])
    counted = 0.0
    for index in range(len(kept) - 1, -1, -1):
        counted += kept[index][1]
        if counted >= limit:
            return kept[index:]
    return kept

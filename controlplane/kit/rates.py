"""Counting against a limit in windows of time, shared between processes through Redis."""

import threading
import time
from functools import cache
from typing import Any

import redis
from django.conf import settings

# How many keys one process keeps in mind before it starts anew.
LARGEST = 10_000
# A Redis that does not answer must not hold up every request: it is left alone for a while.
PATIENCE_SECONDS = 0.5
PAUSE_SECONDS = 5.0

_lock = threading.Lock()
# key → [window, hits counted here, of which Redis was told]
_counts: dict[str, list[int]] = {}
_away_until = 0.0


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )


def client_address(request: Any) -> str:
    """The caller's address; the server has already put a trusted proxy's word in its place."""
    return request.META.get("REMOTE_ADDR") or "local"


def _count_here(key: str, window: int, hits: int, alone: int) -> tuple[int, int | None]:
    """(hits counted here, hits to tell Redis now or None)."""
    with _lock:
        if len(_counts) > LARGEST:
            _counts.clear()
        entry = _counts.get(key)
        if entry is None or entry[0] != window:
            entry = _counts[key] = [window, 0, 0]
        entry[1] += hits
        if entry[1] <= alone and hits:
            return entry[1], None
        untold, entry[2] = entry[1] - entry[2], entry[1]
        return entry[1], untold


def _count_together(key: str, window: int, untold: int, seconds: int) -> int:
    global _away_until
    if time.monotonic() < _away_until:
        return 0
    name = f"sparkops:rate:{key}:{window}"
    try:
        total = _client().incrby(name, untold)
        if total == untold:
            _client().expire(name, seconds * 2)
    except redis.RedisError:
        _away_until = time.monotonic() + PAUSE_SECONDS
        return 0
    return int(total)


def hit(key: str, *, limit: int, seconds: int, alone: int = 0, hits: int = 1) -> int:
    """Count `hits` against `limit` in a window of `seconds`: 0 within it, else seconds to wait.

    Up to `alone` hits of a window are counted in this process only, which spares a round trip on
    the quick path; with `alone` at most limit / processes nobody exceeds the limit unseen. Without
    Redis each process counts for itself. `hits=0` asks without counting.
    """
    now = time.time()
    window = int(now // seconds)
    total, untold = _count_here(key, window, hits, alone)
    if untold is not None:
        total = max(total, _count_together(key, window, untold, seconds))
    over = total > limit if hits else total >= limit
    return max(1, round((window + 1) * seconds - now)) if over else 0


def forget() -> None:
    """Forget what this process counted."""
    with _lock:
        _counts.clear()

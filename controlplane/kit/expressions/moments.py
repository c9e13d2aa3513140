"""Timestamps and durations: reading them from text, and their parts."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from controlplane.kit.expressions.errors import ExpressionError
from controlplane.kit.expressions.scope import Scope, mismatch
from controlplane.kit.expressions.values import type_name

_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_OFFSET = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{2})")


def timestamp(scope: Scope, value: Any) -> datetime:
    """A moment from RFC 3339 text, from seconds since 1970, or itself."""
    if type(value) is datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value, UTC)
        match = _STAMP.fullmatch(value) if type(value) is str and len(value) < 50 else None
        if match:
            day, time, fraction, zone = match.groups()
            zone = "+00:00" if zone in "Zz" else zone
            return datetime.fromisoformat(f"{day}T{time}{(fraction or '')[:7]}{zone}")
    except (ValueError, OverflowError, OSError):
        pass
    raise ExpressionError(f"{value!r:.100} is no timestamp such as 2026-01-31T07:00:00Z.")


def duration(scope: Scope, value: Any) -> timedelta:
    """A length of time from text such as `1h30m` or `2.5s`, or itself."""
    if type(value) is timedelta:
        return value
    if type(value) is str and len(value) < 100:
        body = value[1:] if value[:1] in ("-", "+") else value
        parts = _PART.findall(body)
        if body == "0" or (parts and "".join(map("".join, parts)) == body):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
            try:
                return timedelta(seconds=-seconds if value[0] == "-" else seconds)
            except OverflowError:
                pass
    raise ExpressionError(f"{value!r:.100} is no duration such as 1h30m or 2.5s.")


def _zone(name: Any) -> tzinfo:
    offset = _OFFSET.fullmatch(name) if type(name) is str else None
    try:
        if offset:
            sign, hours, minutes = offset.groups()
            length = timedelta(hours=int(hours), minutes=int(minutes))
            return timezone(-length if sign == "-" else length)
        return ZoneInfo(name)
    except (ValueError, OSError, TypeError, LookupError):
        raise ExpressionError(f"{name!r:.100} is no time zone.") from None


def _part(name: str, of_moment: Callable[[datetime], int], of_length: Any = None) -> Any:
    def run(scope: Scope, value: Any, zone: Any = "UTC") -> int:
        if type(value) is datetime:
            scope.spend(50)
            return of_moment(value.astimezone(_zone(zone)))
        if type(value) is timedelta and of_length is not None:
            return of_length(value)
        raise mismatch(f"{name}() needs a timestamp, not {type_name(value)}.")

    return run


def _whole(length: timedelta, unit: timedelta) -> int:
    count = abs(length) // unit
    return count if length >= timedelta() else -count


def _table() -> dict[str, tuple[Callable[..., Any], int, int]]:
    parts: dict[str, tuple[Any, Any]] = {
        "getFullYear": (lambda at: at.year, None),
        "getMonth": (lambda at: at.month - 1, None),
        "getDate": (lambda at: at.day, None),
        "getDayOfMonth": (lambda at: at.day - 1, None),
        "getDayOfWeek": (lambda at: at.isoweekday() % 7, None),
        "getDayOfYear": (lambda at: at.timetuple().tm_yday - 1, None),
        "getHours": (lambda at: at.hour, lambda by: _whole(by, timedelta(hours=1))),
        "getMinutes": (lambda at: at.minute, lambda by: _whole(by, timedelta(minutes=1))),
        "getSeconds": (lambda at: at.second, lambda by: _whole(by, timedelta(seconds=1))),
        "getMilliseconds": (
            lambda at: at.microsecond // 1000,
            lambda by: _whole(by, timedelta(milliseconds=1)) % 1000,
        ),
    }
    return {name: (_part(name, *pair), 1, 2) for name, pair in parts.items()}


ACCESSORS = _table()

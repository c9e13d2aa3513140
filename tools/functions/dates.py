"""Arithmetic with dates and moments, aware of time zones."""

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tools.calls import ToolError
from tools.functions.registry import ToolContext, function

_MOST = 1_000_000
_COUNT = {"type": "integer", "minimum": -_MOST, "maximum": _MOST}
_PARTS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_UNITS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MOMENT = {"type": "string", "maxLength": 40}


@function(
    "date_add",
    effect_class="read",
    stakes="read",
    is_instant=True,
    input_schema={
        "type": "object",
        "properties": {
            "date": _MOMENT,
            "time_zone": {"type": "string", "maxLength": 60},
            **dict.fromkeys(_PARTS, _COUNT),
        },
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {
            "date": {"type": "string"},
            "utc": {"type": "string"},
            "weekday": {"type": "string"},
            "week": {"type": "integer"},
        },
        "required": ["date", "utc", "weekday", "week"],
    },
)
def date_add(arguments: dict[str, Any], context: ToolContext) -> Any:
    """Add years, months, weeks, days, hours, minutes and seconds to a date (ISO 8601; now where
    none is given) on the clock of a time zone. Negative numbers subtract; a month that is too short
    gives its last day."""
    moment = _moment(arguments.get("date"), arguments.get("time_zone"))
    try:
        months = arguments.get("years", 0) * 12 + arguments.get("months", 0)
        moment = _months_later(moment, months)
        # Days go by the clock on the wall, hours by the one that never jumps.
        moment += timedelta(weeks=arguments.get("weeks", 0), days=arguments.get("days", 0))
        exact = {part: arguments.get(part, 0) for part in ("hours", "minutes", "seconds")}
        zone = moment.tzinfo
        moment = (moment.astimezone(UTC) + timedelta(**exact)).astimezone(zone)
        utc = moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ToolError("The date lies beyond the calendar.", code="no_result") from None
    return {
        "date": moment.isoformat(),
        "utc": utc.isoformat().replace("+00:00", "Z"),
        "weekday": f"{moment:%A}",
        "week": moment.isocalendar().week,
    }


@function(
    "date_difference",
    effect_class="read",
    stakes="read",
    is_instant=True,
    input_schema={
        "type": "object",
        "properties": {
            "from": _MOMENT,
            "to": _MOMENT,
            "unit": {"enum": list(_UNITS)},
            "time_zone": {"type": "string", "maxLength": 60},
        },
        "required": ["from", "to"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {"value": {"type": "number"}, "whole": {"type": "integer"}},
        "required": ["value", "whole"],
    },
)
def date_difference(arguments: dict[str, Any], context: ToolContext) -> Any:
    """How long it is from one date to another, in weeks, days (unless told), hours, minutes or
    seconds; negative where the second is earlier. `whole` leaves out what is begun."""
    zone = arguments.get("time_zone")
    first, last = _moment(arguments["from"], zone), _moment(arguments["to"], zone)
    seconds = (last.astimezone(UTC) - first.astimezone(UTC)).total_seconds()
    value = seconds / _UNITS[arguments.get("unit", "days")]
    return {"value": value, "whole": int(value)}


def _moment(text: str | None, zone_name: str | None) -> datetime:
    try:
        zone = ZoneInfo(zone_name) if zone_name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        raise ToolError(f"There is no time zone {zone_name}.", code="input_invalid") from None
    if text is None:
        return datetime.now(zone)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ToolError(f"{text!r} is no date in ISO 8601.", code="input_invalid") from None
    if found.tzinfo is None:
        return found.replace(tzinfo=zone)
    try:
        return found.astimezone(zone) if zone_name else found
    except OverflowError:
        raise ToolError("The date lies beyond the calendar.", code="no_result") from None


def _months_later(moment: datetime, months: int) -> datetime:
    place = moment.year * 12 + moment.month - 1 + months
    year, month = divmod(place, 12)
    if not date.min.year <= year <= date.max.year:
        raise OverflowError
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))

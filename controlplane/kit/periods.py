"""Times of a query string."""

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from controlplane.kit.errors import InvalidInput

# Beyond these, counting back and forth leaves the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 2999


def moment(text: str | None, field: str) -> datetime | None:
    """An ISO-8601 time in UTC, a day meaning its beginning; None for nothing, 422 for others."""
    if not text:
        return None
    try:
        found = parse_datetime(text if "T" in text or " " in text else f"{text}T00:00:00Z")
        if found is not None:
            aware = timezone.make_aware(found, UTC) if timezone.is_naive(found) else found
            found = aware.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InvalidInput.of(field, f"{field} must be an ISO-8601 time.")
    return found

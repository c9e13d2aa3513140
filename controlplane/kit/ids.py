"""Identifiers: UUIDv7, so that keys sort by time and indexes stay dense."""

import uuid

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> uuid.UUID:
    """A new time-ordered identifier (RFC 9562)."""
    return _uuid7()


def parse_uuid(value: object) -> uuid.UUID | None:
    """The UUID written in `value`, or None where it is none."""
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None

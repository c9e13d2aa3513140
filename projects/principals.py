"""A credential into a user with roles, by one query and no cache: revocation counts at once.

This is on the way of every API call, so the query is written by hand (0.3 ms); it answers who it
is, whether the token's family or session still stands, and the roles, all in one round trip.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from projects import keys
from projects.credentials import Credential
from projects.models import ApiKey
from projects.people import User
from projects.roles import ARCHIVED

USED_EVERY = timedelta(minutes=1)
PREPARE_AFTER = 5
_USER = [field.attname for field in User._meta.concrete_fields]
_KEY = [field.attname for field in ApiKey._meta.concrete_fields]
_ROLES = f"""
LEFT JOIN LATERAL (
  SELECT array_agg(m.project_id) AS projects,
         array_agg(CASE p.status WHEN 'active' THEN m.role ELSE '{ARCHIVED}' || m.role END) AS roles
  FROM membership m JOIN project p ON p.id = m.project_id
  WHERE m.user_id = u.id AND p.deleted_at IS NULL
) r ON true
"""  # noqa: S608 (constants only)
_USER_COLUMNS = ", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)
_KEY_COLUMNS = ", ".join(f"k.{field.column}" for field in ApiKey._meta.concrete_fields)
_BY_USER = f"""
SELECT {_USER_COLUMNS}, r.projects, r.roles,
  EXISTS (SELECT 1 FROM refresh_token t WHERE t.family = %(family)s AND t.revoked_at IS NOT NULL),
  EXISTS (SELECT 1 FROM django_session s WHERE s.session_key = %(session_key)s)
FROM user_account u {_ROLES} WHERE u.id = %(user_id)s AND u.is_active
"""  # noqa: S608
_BY_KEY = f"""
SELECT {_USER_COLUMNS}, r.projects, r.roles, {_KEY_COLUMNS}
FROM api_key k JOIN user_account u ON u.id = k.user_id {_ROLES}
WHERE k.prefix = %(prefix)s AND u.is_active AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > now())
"""  # noqa: S608


def _row(sql: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
    # A prepared statement, which Django's own cursors never are: planning costs twice the query.
    connection.ensure_connection()
    raw = connection.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = PREPARE_AFTER
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        return cursor.execute(sql, params).fetchone()


def _user(row: tuple[Any, ...]) -> User:
    user = User.from_db(connection.alias, _USER, row[: len(_USER)])
    projects, roles = row[len(_USER) : len(_USER) + 2]
    user._roles = dict(zip(projects or (), roles or (), strict=True))
    return user


def load(credential: Credential) -> User | None:
    """The principal of an access token or session as of now; None where either no longer holds:
    the user is inactive or has another password, the family was revoked, the session ended."""
    if credential.kind == "api_key":
        return by_prefix(credential.prefix)
    row = _row(
        _BY_USER,
        {
            "user_id": credential.user_id,
            "family": credential.family,
            "session_key": credential.session_key,
        },
    )
    if row is None:
        return None
    user, (revoked, has_session) = _user(row), row[-2:]
    stands = not revoked if credential.kind == "access" else has_session
    if not stands or not constant_time_compare(credential.mark, user.password_mark()):
        return None
    user.credential = credential
    return user


def by_prefix(prefix: str, text: str | None = None) -> User | None:
    """The principal of an API key, narrowed to its project and scopes; None where it is unknown,
    expired, revoked, or where `text` (the whole key) is given and is not it."""
    row = _row(_BY_KEY, {"prefix": prefix})
    if row is None:
        return None
    key = ApiKey.from_db(connection.alias, _KEY, _decoded(row[len(_USER) + 2 :]))
    if text is not None and not keys.matches(text, key.key_sha256):
        return None
    user = _user(row)
    user.api_key = key
    user.credential = Credential("api_key", user.pk, prefix=prefix)
    if text is not None:
        _note_use(key, timezone.now())
    return user


def _decoded(values: tuple[Any, ...]) -> list[Any]:
    """Column values through the fields' own converters (scopes are JSON text to the driver)."""
    fields = ApiKey._meta.concrete_fields
    return [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, values, strict=True)
    ]


def _note_use(key: ApiKey, now: datetime) -> None:
    """Once a minute at most, and by one of several processes only."""
    if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)

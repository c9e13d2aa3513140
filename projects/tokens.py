"""Tokens of the API: short-lived access JWTs, and refresh tokens that rotate in families."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from controlplane.kit.errors import DomainError
from controlplane.kit.ids import parse_uuid, uuid7
from projects.credentials import Credential
from projects.models import RefreshToken
from projects.people import User

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 14 * 24 * 3600
ISSUER = "spark-ops"


class InvalidToken(DomainError):
    """The token is not ours, is out of date, used or revoked; 401."""

    status = 401
    code = "invalid_token"


@dataclass(frozen=True)
class Pair:
    """What a sign-in hands out."""

    access: str
    refresh: str


def sha256(text: str) -> str:
    """Hex digest: what is stored of a random token."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4)
def _key(secret_key: str) -> bytes:
    return salted_hmac("projects.tokens", ISSUER, secret=secret_key, algorithm="sha256").digest()


def access_token(user: User, family: UUID, *, now: datetime | None = None) -> str:
    """A JWT that stands for `user` for 15 minutes, as long as its family and password hold."""
    issued = int((now or timezone.now()).timestamp())
    claims = {
        "iss": ISSUER,
        "sub": user.pk.hex,
        "fam": family.hex,
        "pwd": user.password_mark(),
        "iat": issued,
        "exp": issued + ACCESS_SECONDS,
    }
    return import_string("jwt.encode")(claims, _key(settings.SECRET_KEY), algorithm="HS256")


@lru_cache(maxsize=1024)
def _verified(token: str, secret_key: str) -> tuple[Credential, int]:
    """What a rightly signed token says and when it ends. Kept, because the same token comes with
    every call of its 15 minutes; whether it still holds is asked elsewhere, every time."""
    wrong = import_string("jwt.InvalidTokenError")
    try:
        claims: dict[str, Any] = import_string("jwt.decode")(
            token,
            _key(secret_key),
            algorithms=["HS256"],
            issuer=ISSUER,
            options={"require": ["exp", "sub", "fam", "pwd"], "verify_exp": False},
        )
    except wrong:
        raise InvalidToken("The access token is not valid.") from None
    user_id, family = parse_uuid(claims["sub"]), parse_uuid(claims["fam"])
    if user_id is None or family is None:
        raise InvalidToken("The access token is not valid.")
    return Credential("access", user_id, mark=str(claims["pwd"]), family=family), claims["exp"]


def read_access(token: str) -> Credential:
    """What an access token says. InvalidToken where its signature, time or claims are wrong."""
    credential, ends = _verified(token, settings.SECRET_KEY)
    if ends <= timezone.now().timestamp():
        raise InvalidToken("The access token has expired.", code="token_expired")
    return credential


def issue(user: User, *, family: UUID | None = None) -> Pair:
    """A new pair of tokens; of a new family unless one goes on. Expired ones are cleared away."""
    now = timezone.now()
    # A family's later link lives at most one lifetime longer than an earlier, revoked one.
    RefreshToken.objects.filter(
        user=user, expires_at__lt=now - timedelta(seconds=REFRESH_SECONDS + 60)
    ).delete()
    family = family or uuid7()
    refresh = secrets.token_urlsafe(32)
    RefreshToken.objects.create(
        family=family,
        user=user,
        token_sha256=sha256(refresh),
        password_mark=user.password_mark(),
        expires_at=now + timedelta(seconds=REFRESH_SECONDS),
    )
    return Pair(access_token(user, family), refresh)


def rotate(refresh: str) -> Pair:
    """The next pair for a refresh token, which is used up by it.

    InvalidToken where it is unknown, expired, revoked or the user is gone; one that was used
    before is taken for stolen: its whole family is revoked (`token_reused`).
    """
    with transaction.atomic():
        row = (
            RefreshToken.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(token_sha256=sha256(refresh))
            .first()
        )
        if row is None:
            raise InvalidToken("The refresh token is not valid.")
        reused = row.used_at is not None and row.revoked_at is None
        if reused:
            revoke_family(row.family)
        elif _holds(row):
            RefreshToken.objects.filter(pk=row.pk).update(used_at=timezone.now())
            return issue(row.user, family=row.family)
    if reused:
        raise InvalidToken("The refresh token was used before; sign in again.", code="token_reused")
    raise InvalidToken("The refresh token no longer holds; sign in again.")


def _holds(row: RefreshToken) -> bool:
    # The whole family is asked: a sign-out may have raced with the rotation that made this link.
    links = RefreshToken.objects.filter(family=row.family, revoked_at__isnull=False)
    return (
        row.expires_at > timezone.now()
        and row.user.is_active
        and secrets.compare_digest(row.password_mark, row.user.password_mark())
        and not links.exists()
    )


def revoke_family(family: UUID) -> None:
    """End a chain of refresh tokens; its access tokens stop at once too."""
    RefreshToken.objects.filter(family=family, revoked_at=None).update(revoked_at=timezone.now())


def revoke(refresh: str) -> User | None:
    """Sign out: end the family of a refresh token. Whose it was, None for an unknown one."""
    row = RefreshToken.objects.select_related("user").filter(token_sha256=sha256(refresh)).first()
    if row is None:
        return None
    revoke_family(row.family)
    return row.user


def revoke_all(user: User) -> None:
    """End every chain of a user."""
    RefreshToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())

"""API keys: a public prefix to find the row by, and a random part of which only a hash is kept."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidInput
from projects.models import ApiKey, Membership, Project
from projects.people import User
from projects.services import may_give
from projects.tokens import sha256

MARK = "spk_"
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class NewKey:
    """A key just made: `text` is shown once, the rest is stored."""

    prefix: str
    text: str
    sha256: str


def make() -> NewKey:
    """A new random key, of the characters [A-Za-z0-9_.-] only."""
    prefix = MARK + "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = secrets.token_urlsafe(32)
    return NewKey(prefix, f"{prefix}.{secret}", sha256(secret))


def prefix_of(text: str) -> str | None:
    """The prefix of what looks like one of our keys, else None."""
    prefix, dot, secret = text.partition(".")
    return prefix if dot and secret and prefix.startswith(MARK) else None


def matches(text: str, key_sha256: str) -> bool:
    """Whether the key's random part is the one stored, compared in constant time."""
    return secrets.compare_digest(sha256(text.partition(".")[2]), key_sha256)


@transaction.atomic
def create(
    *,
    actor: User,
    project: Project,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    service_account: Any = None,
) -> tuple[ApiKey, str]:
    """An API key of `actor`, or of a service account of the project, and its text, which is shown
    once. A key with scopes makes no keys; nobody makes one that may do more than themselves."""
    if actor.api_key is not None and actor.api_key.scopes:
        raise PermissionDenied("An API key with scopes makes no other keys.")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput.of("expires_at", "This time has passed.")
    user = actor
    if service_account is not None:
        membership = Membership.objects.filter(
            project=project, user_id=service_account, user__is_service=True
        ).first()
        if membership is None:
            message = "This project has no such service account."
            raise InvalidInput.of("service_account", message, "does_not_exist")
        may_give(actor, project, membership.role)
        user = membership.user
    new = make()
    key = ApiKey(
        project=project,
        user=user,
        name=name,
        prefix=new.prefix,
        key_sha256=new.sha256,
        scopes=scopes,
        expires_at=expires_at,
    )
    key.full_clean()
    key.save(force_insert=True)
    after = {"name": name, "user": str(user), "scopes": scopes, "expires_at": expires_at}
    audit.record("apikey.created", actor=actor, project_id=project.pk, target=key, after=after)
    return key, new.text


@transaction.atomic
def revoke(key: ApiKey, *, actor: User) -> ApiKey:
    """End an API key at once. DomainError `invalid_state` where it was revoked before."""
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        revoked_at=timezone.now(), updated_at=timezone.now()
    )
    if not changed:
        raise DomainError("This key was revoked before.", code="invalid_state")
    audit.record("apikey.revoked", actor=actor, project_id=key.project_id, target=key)
    key.refresh_from_db()
    return key

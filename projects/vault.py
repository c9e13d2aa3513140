"""Secrets: stored encrypted, replaced, and opened for a call to one of their hosts only."""

import re
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from controlplane.kit import audit
from controlplane.kit.egress.addresses import host_matches
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import uuid7
from projects.crypto import decrypt, encrypt
from projects.models import Project, Secret
from projects.people import User

LONGEST = 16_384
USED_EVERY = timedelta(minutes=1)
_HOST = re.compile(
    r"^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
    r"(:\d{1,5})?$|^\[[0-9a-f:.]+\](:\d{1,5})?$"
)


class SecretRefused(DomainError):
    """A secret may not go to the host of a call; says which hosts it is bound to."""

    status = 422
    code = "secret_host_refused"


def check_hosts(hosts: Any) -> list[str]:
    """Allowed hosts in lower case: `host`, `host:port` or `*.domain`. InvalidInput names the one
    that is none of them."""
    if not isinstance(hosts, list) or len(hosts) > 50:
        raise InvalidInput.of("allowed_hosts", "Give a list of at most 50 hosts.")
    found = []
    for host in hosts:
        text = host.strip().lower() if isinstance(host, str) else ""
        if len(text) > 260 or not _HOST.match(text):
            message = f"{host!r} is no host: write host, host:port or *.domain, without a scheme."
            raise InvalidInput.of("allowed_hosts", message)
        found.append(text)
    return list(dict.fromkeys(found))


def check_value(value: str) -> str:
    """A value that can be stored and sent."""
    if not value or len(value) > LONGEST:
        raise InvalidInput.of("value", f"A secret has 1 to {LONGEST} characters.")
    if re.search(r"[\x00-\x1f\x7f]", value.strip("\r\n")) and "-----BEGIN" not in value:
        raise InvalidInput.of("value", "A secret holds no control characters.")
    return value.strip("\r\n") if "-----BEGIN" not in value else value


@transaction.atomic
def store(
    project: Project, *, name: str, value: str, allowed_hosts: list[str], actor: User | None
) -> Secret:
    """A new secret. InvalidInput where the name is taken or a value is wrong."""
    secret = Secret(
        pk=uuid7(), project=project, name=name, allowed_hosts=check_hosts(allowed_hosts)
    )
    secret.ciphertext = encrypt(check_value(value), bound_to=secret.pk)
    secret.full_clean()
    secret.save(force_insert=True)
    after = {"name": name, "allowed_hosts": secret.allowed_hosts}
    audit.record("secret.created", actor=actor, project_id=project.pk, target=secret, after=after)
    return secret


@transaction.atomic
def change(
    secret: Secret, *, value: str | None, allowed_hosts: list[str] | None, actor: User | None
) -> Secret:
    """Replace the value, the hosts or both; None leaves them. The audit row never holds values."""
    before = {"allowed_hosts": secret.allowed_hosts}
    if allowed_hosts is not None:
        secret.allowed_hosts = check_hosts(allowed_hosts)
    if value is not None:
        secret.ciphertext = encrypt(check_value(value), bound_to=secret.pk)
        secret.rotated_at = timezone.now()
    secret.save()
    audit.record(
        "secret.rotated" if value is not None else "secret.changed",
        actor=actor,
        project_id=secret.project_id,
        target=secret,
        before=before,
        after={"allowed_hosts": secret.allowed_hosts},
    )
    return secret


def named(project_id: Any, name: str) -> Secret:
    """The project's secret of that name. DomainError `secret_not_found` (422)."""
    found = Secret.objects.filter(project_id=project_id, name=name).first()
    if found is None:
        raise DomainError(
            f"This project has no secret named {name}.", code="secret_not_found", status=422
        )
    return found


def reveal_for(secret: Secret, host: str, port: int | None = None) -> str:
    """The value of a secret, for a call to `host` (or `host:port`; 443 where no port is given).

    SecretRefused where the secret is not bound to that host. The caller keeps the value out of
    whatever it stores (`projects.redaction.redact`).
    """
    if (
        port is None
        and (found := re.fullmatch(r"(.+):(\d{1,5})", host))
        and (host.count(":") == 1 or "]" in found[1])
    ):
        host, port = found[1], int(found[2])
    if not any(host_matches(host, port or 443, pattern) for pattern in secret.allowed_hosts):
        bound = ", ".join(secret.allowed_hosts) or "no host yet"
        raise SecretRefused(
            f"The secret {secret.name} may not go to {host}: it is bound to {bound}."
        )
    return reveal(secret)


def reveal(secret: Secret) -> str:
    """The value of a secret for code that compares the host with `allowed_hosts` itself before it
    sends anything, because the host stands in the value or is not known yet."""
    value = decrypt(secret.ciphertext, bound_to=secret.pk)
    now = timezone.now()
    if secret.last_used_at is None or now - secret.last_used_at >= USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        Secret.objects.filter(stale, pk=secret.pk).update(last_used_at=now)
        secret.last_used_at = now
    return value

"""Encryption at rest: Fernet under the first key of settings, older keys still open."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from controlplane.kit.errors import DomainError


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> Any:
    # Loaded at first use: the library weighs megabytes in processes that never open a secret.
    fernet = import_string("cryptography.fernet.Fernet")
    try:
        return import_string("cryptography.fernet.MultiFernet")([fernet(key) for key in keys])
    except ValueError as exc:
        raise ImproperlyConfigured(
            "SPARKOPS_ENCRYPTION_KEYS must be a comma list of URL-safe base64 keys of 32 bytes."
        ) from exc


def encrypt(value: str, *, bound_to: UUID) -> bytes:
    """Ciphertext of `value` that opens for the row `bound_to` only, so that a ciphertext copied
    to another row (and so to other hosts) is of no use."""
    return _box(tuple(settings.ENCRYPTION_KEYS)).encrypt(bound_to.bytes + value.encode())


def decrypt(ciphertext: bytes | memoryview, *, bound_to: UUID) -> str:
    """The value of the row `bound_to`. DomainError `secret_unreadable` where no key opens it."""
    invalid = import_string("cryptography.fernet.InvalidToken")
    try:
        opened = _box(tuple(settings.ENCRYPTION_KEYS)).decrypt(bytes(ciphertext))
    except invalid:
        opened = b""
    if opened[:16] != bound_to.bytes:
        raise DomainError(
            "No key of SPARKOPS_ENCRYPTION_KEYS opens this secret; store it anew.",
            code="secret_unreadable",
        )
    return opened[16:].decode()


def renew(ciphertext: bytes | memoryview) -> bytes:
    """The same content under the first key, for the retirement of an older one."""
    return _box(tuple(settings.ENCRYPTION_KEYS)).rotate(bytes(ciphertext))

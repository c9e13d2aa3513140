"""API keys: a public prefix to find the row by, and a random part of which only a hash is kept."""

import secrets
import string
from dataclasses import dataclass

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

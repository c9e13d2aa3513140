"""One-use tickets for opening a socket where neither header nor cookie can be sent."""

import secrets

import orjson
import redis

from controlplane.kit import queue
from controlplane.kit.errors import DomainError
from projects.credentials import Credential
from projects.tokens import sha256

TICKET_SECONDS = 30
_KEY = "sparkops:ticket:"


def give(credential: Credential) -> str:
    """A random ticket that stands for `credential` once within 30 s. DomainError (503) without
    Redis."""
    ticket = secrets.token_urlsafe(32)
    try:
        queue.connection().set(
            _KEY + sha256(ticket), orjson.dumps(credential.as_dict()), ex=TICKET_SECONDS
        )
    except redis.RedisError:
        raise DomainError(
            "Tickets cannot be given just now; try again shortly.",
            code="unavailable",
            status=503,
        ) from None
    return ticket


def take(ticket: str) -> Credential | None:
    """What a ticket stands for, and the end of it; None where it is unknown, used or too old."""
    try:
        facts = queue.connection().getdel(_KEY + sha256(ticket))
    except redis.RedisError:
        return None
    return Credential.from_dict(orjson.loads(facts)) if facts else None

"""Names to addresses: resolved once, every address checked, only checked ones handed out."""

import asyncio
import os
import socket
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from controlplane.kit.egress import addresses
from controlplane.kit.egress.addresses import Permit
from controlplane.kit.egress.errors import EgressRefused, EgressTimeout, EgressUnreachable


def lookup(host: str, port: int) -> list[str]:
    """All addresses of a name, best first; blocks. OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def _threads() -> ThreadPoolExecutor:
    # Its own pool: names that resolve slowly must not take the threads of anybody else.
    return ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolve")


# A child process has the executor but none of its threads.
os.register_at_fork(after_in_child=_threads.cache_clear)


def check(host: str, port: int, found: list[str], allow: Iterable[Permit]) -> list[str]:
    """The addresses, if each may be reached. EgressRefused names the first that may not: one
    forbidden address among good ones is how a rebinding name looks."""
    if not found:
        raise EgressUnreachable(f"{host} has no address.")
    for raw in found:
        if why := addresses.refusal(raw, name=host, port=port, allow=allow):
            spelled = "is" if addresses.literal(host) else f"resolves to {raw},"
            raise EgressRefused(f"{host} {spelled} {why}; calls there are not allowed.")
    return found


def _literal(host: str) -> list[str] | None:
    if problem := addresses.numeric_problem(host):
        raise EgressRefused(f"The host {host} is not taken: {problem}.")
    return [host.strip("[]")] if addresses.literal(host) else None


def _submit(host: str, port: int) -> Future[list[str]]:
    return _threads().submit(lookup, host, port)


async def resolve(
    host: str, port: int, *, allow: Iterable[Permit], timeout: float | None
) -> list[str]:
    """Checked addresses of a host within `timeout` seconds. EgressRefused, EgressUnreachable or
    EgressTimeout."""
    found = _literal(host)
    if found is None:
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(_submit(host, port)), timeout)
        except TimeoutError:
            raise _slow(host) from None
        except (OSError, UnicodeError) as exc:
            raise _unknown(host, exc) from None
    return check(host, port, found, allow)


def resolve_blocking(
    host: str, port: int, *, allow: Iterable[Permit], timeout: float | None
) -> list[str]:
    """`resolve` for threads."""
    found = _literal(host)
    if found is None:
        try:
            found = _submit(host, port).result(timeout)
        except TimeoutError:
            raise _slow(host) from None
        except (OSError, UnicodeError) as exc:
            raise _unknown(host, exc) from None
    return check(host, port, found, allow)


def _slow(host: str) -> EgressTimeout:
    return EgressTimeout(f"The name {host} was not resolved in time.")


def _unknown(host: str, exc: Exception) -> EgressUnreachable:
    reason = getattr(exc, "strerror", None) or "it is not a valid name"
    return EgressUnreachable(f"The name {host} cannot be resolved: {reason}.")

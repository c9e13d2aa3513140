"""Which addresses outgoing calls may reach: pure rules over addresses and the operator's list."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The IANA special-purpose registries, spelled out: what `ipaddress` calls private or global has
# changed between patch releases of Python.
_FORBIDDEN_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(text), reason)
    for text, reason in (
        ("0.0.0.0/8", "an address of this host"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud metadata address"),
        ("169.254.0.0/16", "a link-local or metadata address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
_FORBIDDEN_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(text), reason)
    for text, reason in (
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NUMERIC_LABEL = re.compile(r"(?:0[xX][0-9a-fA-F]*|\d+)\Z")
_HOST_PORT = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+):(?P<port>\d{1,5})\Z")


@dataclass(frozen=True, slots=True)
class Permit:
    """One entry of the operator's list: a network or a host name, and perhaps one port."""

    network: Network | None
    host: str
    port: int | None

    def admits(self, address: Address, port: int, name: str) -> bool:
        """Whether this entry names the address (or the host it was asked by) and the port."""
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return self.host == name
        return address.version == self.network.version and address in self.network


def _permit(entry: str) -> Permit:
    text, port = entry.strip(), None
    if found := _HOST_PORT.match(text):
        text, port = found["host"].strip("[]"), int(found["port"])
        if not 0 < port < 65536:
            raise ValueError(f"SPARKOPS_EGRESS_ALLOW: {entry!r} has no valid port.")
    try:
        return Permit(ip_network(text.strip("[]"), strict=False), "", port)
    except ValueError:
        if port is None or "/" in text or numeric_problem(text):
            raise ValueError(
                f"SPARKOPS_EGRESS_ALLOW: {entry!r} is neither a network nor host:port."
            ) from None
    return Permit(None, text.lower().rstrip("."), port)


@lru_cache(maxsize=64)
def permits(entries: tuple[str, ...]) -> tuple[Permit, ...]:
    """The operator's list, parsed. ValueError names the entry that is neither network nor
    host:port."""
    return tuple(_permit(entry) for entry in entries if entry.strip())


def plain(address: Address) -> Address:
    """The address that packets will really go to: IPv4 inside IPv6 (mapped, NAT64) unwrapped."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def forbidden(address: Address) -> str:
    """Why the address is out of bounds, as "a loopback address"; empty where it is public."""
    address = plain(address)
    if isinstance(address, IPv4Address):
        return next((why for network, why in _FORBIDDEN_V4 if address in network), "")
    if address.scope_id:
        return "a link-local address"
    for network, why in _FORBIDDEN_V6:
        if address in network:
            return why
    return "" if address in _GLOBAL_V6 else "a reserved address"


def refusal(raw: str, *, name: str, port: int, allow: Iterable[Permit] = ()) -> str:
    """Why a connection to the resolved address `raw` for host `name` may not be made, or empty."""
    address = ip_address(raw)
    why = forbidden(address)
    if not why:
        return ""
    name = name.lower().rstrip(".")
    if any(permit.admits(plain(address), port, name) for permit in allow):
        return ""
    return why


def literal(host: str) -> Address | None:
    """The address a host is spelled as, or None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def numeric_problem(host: str) -> str:
    """Why a host that ends in a number is refused, or empty.

    Decimal, octal, hexadecimal and shortened IPv4 forms mean different addresses to different
    programs, so only the dotted form of four decimal numbers is taken.
    """
    text = host.strip("[]")
    if "%" in text:
        return "IPv6 zone identifiers are not taken"
    if ":" in text:
        return "" if literal(text) else "it is not a valid IPv6 address"
    last = text.rstrip(".").rsplit(".", 1)[-1]
    if not _NUMERIC_LABEL.match(last) or literal(text):
        return ""
    return "write IPv4 addresses as four decimal numbers"


def host_matches(host: str, port: int, pattern: str) -> bool:
    """Whether a host is named by an allowed-host entry: `host`, `host:port` or `*.domain`."""
    pattern, host = pattern.strip().lower().rstrip("."), host.lower().rstrip(".").strip("[]")
    if literal(pattern) is None and (found := _HOST_PORT.match(pattern)):
        if int(found["port"]) != port:
            return False
        pattern = found["host"].rstrip(".")
    pattern = pattern.strip("[]")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern

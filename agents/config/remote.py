"""The configuration of a remote agent: a server of somebody else's that is called over HTTP."""

from collections.abc import Mapping
from typing import Any

from agents.config import checks
from agents.config.checks import Faults

KEYS = (
    "protocol",
    "url",
    "health_url",
    "secret",
    "output_schema",
    "timeout_seconds",
    "max_concurrency",
)
PROTOCOLS = ("http", "a2a")
DEFAULT_TIMEOUT_SECONDS = 60
DEFAULT_CONCURRENCY = 10


def clean_remote(config: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The configuration with every key present, `health_url` only where one is named. There are no
    replicas: what is not ours is capped, not scaled."""
    checks.unknown(config, KEYS, faults)
    timeout = checks.number(
        config.get("timeout_seconds"), "timeout_seconds", faults, least=1, most=3600
    )
    concurrency = checks.number(
        config.get("max_concurrency"), "max_concurrency", faults, least=1, most=1000, whole=True
    )
    health = checks.url(config.get("health_url"), "health_url", faults)
    cleaned = {
        "protocol": checks.choice(config.get("protocol", "http"), "protocol", faults, PROTOCOLS),
        "url": checks.url(config.get("url"), "url", faults, required=True),
        "secret": checks.slug(config.get("secret"), "secret", faults),
        "output_schema": checks.schema(config.get("output_schema"), "output_schema", faults),
        "timeout_seconds": timeout or DEFAULT_TIMEOUT_SECONDS,
        "max_concurrency": concurrency or DEFAULT_CONCURRENCY,
    }
    return {**cleaned, "health_url": health} if health else cleaned

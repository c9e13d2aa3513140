"""The configuration of a worker agent: a process of the operator's that pulls its work."""

import re
from collections.abc import Mapping
from typing import Any

from agents.config import checks
from agents.config.checks import Faults

KEYS = ("entrypoint", "output_schema", "timeout_seconds", "lease_seconds")
DEFAULT_TIMEOUT_SECONDS = 600
DEFAULT_LEASE_SECONDS = 30
_ENTRYPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,119}\Z")


def clean_worker(config: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The configuration with every key present. `entrypoint` is the name under which the worker
    registers what it can do."""
    checks.unknown(config, KEYS, faults)
    entrypoint = checks.text(
        config.get("entrypoint"), "entrypoint", faults, longest=120, required=True
    )
    if entrypoint and not _ENTRYPOINT.match(entrypoint):
        message = "entrypoint has letters, digits and the signs _ . : / - only."
        faults.note("entrypoint", "invalid", message)
    timeout = checks.number(
        config.get("timeout_seconds"), "timeout_seconds", faults, least=1, most=86_400
    )
    lease = checks.number(config.get("lease_seconds"), "lease_seconds", faults, least=5, most=3600)
    return {
        "entrypoint": entrypoint,
        "output_schema": checks.schema(config.get("output_schema"), "output_schema", faults),
        "timeout_seconds": timeout or DEFAULT_TIMEOUT_SECONDS,
        "lease_seconds": lease or DEFAULT_LEASE_SECONDS,
    }

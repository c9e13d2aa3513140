"""The configuration of an agent by its kind: what it may say, its defaults, what is wrong."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from agents.config.checks import Faults
from agents.config.model import clean_model
from agents.config.remote import clean_remote
from agents.config.worker import clean_worker
from controlplane.kit.errors import InvalidInput

KINDS: dict[str, Callable[[Mapping[str, Any], Faults], dict[str, Any]]] = {
    "model": clean_model,
    "remote": clean_remote,
    "worker": clean_worker,
}


def clean(kind: str, config: Any) -> dict[str, Any]:
    """The configuration with every key present. InvalidInput names each wrong key as
    `config.<key>`."""
    if kind not in KINDS:
        raise InvalidInput.of(
            "kind", f"Agents can be of these kinds: {', '.join(KINDS)}.", "invalid_choice"
        )
    if not isinstance(config, Mapping):
        raise InvalidInput.of("config", "config must be an object.")
    faults = Faults()
    cleaned = KINDS[kind](config, faults)
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return cleaned


def fingerprint(config: Mapping[str, Any]) -> str:
    """The SHA-256 of a configuration; the same for the same one."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()

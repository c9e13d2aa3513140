"""The configuration of a model agent."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agents.config import checks
from agents.config.checks import Faults
from agents.providers import PROVIDERS

KEYS = (
    "connection",
    "provider",
    "base_url",
    "model",
    "secret",
    "instructions",
    "parameters",
    "tools",
    "output_schema",
    "limits",
    "timeout_seconds",
)
LIMITS = ("turns", "tokens", "cost", "seconds")
DEFAULT_LIMITS = {"turns": 20, "tokens": None, "cost": None, "seconds": None}
DEFAULT_TIMEOUT_SECONDS = 120
EMBEDDED_MODEL = "smollm2-135m"
LONGEST_INSTRUCTIONS = 100_000
MOST_TOOLS = 64
# Written by the loop and the provider themselves.
RESERVED_PARAMETERS = frozenset(
    (
        "model",
        "messages",
        "system",
        "instructions",
        "stream",
        "stream_options",
        "tools",
        "functions",
        "function_call",
        "response_format",
        "n",
        "prefill",
        "extra_body",
        "extra_headers",
    )
)
_NUMBERS = {
    "temperature": (0, 2, False),
    "top_p": (0, 1, False),
    "top_k": (0, 1000, True),
    "frequency_penalty": (-2, 2, False),
    "presence_penalty": (-2, 2, False),
    "seed": (-(2**63), 2**63 - 1, True),
    "max_tokens": (1, 1_000_000, True),
    "max_completion_tokens": (1, 1_000_000, True),
}


def clean_model(config: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The configuration with every key present; `connection` only where one is named, which may
    give provider and model then (see agents.connections.completed)."""
    checks.unknown(config, KEYS, faults)
    connection = checks.identity(config.get("connection"), "connection", faults)
    provider = ""
    if config.get("provider") or not config.get("connection"):
        provider = checks.choice(config.get("provider"), "provider", faults, tuple(PROVIDERS))
    embedded = provider == "embedded"
    may_lack_model = embedded or bool(config.get("connection"))
    timeout = checks.number(
        config.get("timeout_seconds"), "timeout_seconds", faults, least=1, most=3600
    )
    cleaned = {
        "provider": provider,
        "base_url": checks.url(config.get("base_url"), "base_url", faults),
        "model": checks.text(
            config.get("model"), "model", faults, longest=120, required=not may_lack_model
        ),
        "secret": checks.slug(config.get("secret"), "secret", faults),
        "instructions": checks.text(
            config.get("instructions"), "instructions", faults, longest=LONGEST_INSTRUCTIONS
        ),
        "parameters": _parameters(config.get("parameters"), faults),
        "tools": checks.slugs(config.get("tools"), "tools", faults, most=MOST_TOOLS),
        "output_schema": checks.schema(config.get("output_schema"), "output_schema", faults),
        "limits": _limits(config.get("limits"), faults),
        "timeout_seconds": timeout or DEFAULT_TIMEOUT_SECONDS,
    }
    if connection:
        cleaned["connection"] = connection
        for name in ("base_url", "secret"):
            if cleaned[name]:
                faults.note(name, "not_allowed", f"The {name} comes from the connection.")
    if embedded:
        _check_embedded(cleaned, faults)
    elif provider and not any(config.get(name) for name in ("connection", "secret", "base_url")):
        message = f"{provider} asks for a key: name a secret, or the base_url of a server without."
        faults.note("secret", "required", message)
    return cleaned


def _check_embedded(cleaned: dict[str, Any], faults: Faults) -> None:
    cleaned["model"] = cleaned["model"] or EMBEDDED_MODEL
    if cleaned["tools"]:
        message = "The embedded model cannot call tools; choose another provider, or no tools."
        faults.note("tools", "tools_not_supported", message)
    for name in ("base_url", "secret", "connection"):
        if cleaned.get(name):
            faults.note(name, "not_allowed", f"The embedded model takes no {name}.")


def _parameters(value: Any, faults: Faults) -> dict[str, Any]:
    """Sampling parameters; unknown ones go to the server as they are, which may refuse them."""
    given = checks.mapping(value, "parameters", faults)
    if len(given) > 40:
        faults.note("parameters", "max_length", "There are at most 40 parameters.")
        return {}
    for name, item in given.items():
        field = f"parameters.{name}"
        if name in RESERVED_PARAMETERS:
            faults.note(field, "not_allowed", f"{name} is set by Spark-Ops itself.")
        elif name in _NUMBERS:
            least, most, whole = _NUMBERS[name]
            if item is None:
                faults.note(field, "invalid", f"{name} is a number; leave it out for the default.")
            checks.number(item, field, faults, least=least, most=most, whole=whole)
    return given


def _limits(value: Any, faults: Faults) -> dict[str, Any]:
    given = checks.mapping(value, "limits", faults)
    checks.unknown(given, LIMITS, faults, "limits.")
    turns = checks.number(given.get("turns"), "limits.turns", faults, least=1, most=200, whole=True)
    return {
        "turns": turns or DEFAULT_LIMITS["turns"],
        "tokens": checks.number(
            given.get("tokens"), "limits.tokens", faults, least=1, most=100_000_000, whole=True
        ),
        "cost": checks.amount(given.get("cost"), "limits.cost", faults, most=Decimal(100_000)),
        "seconds": checks.number(
            given.get("seconds"), "limits.seconds", faults, least=1, most=86_400
        ),
    }

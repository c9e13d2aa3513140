"""What a tool is made of, checked as a whole before it is saved."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from controlplane.kit import schemas
from controlplane.kit.errors import FieldProblem, InvalidInput
from tools.kinds import KINDS, kind

MAX_CONFIG_BYTES = 256 * 1024
_WHEN_LIMITED = ("wait", "refuse")
_LIMIT_KEYS = ("limit", "per_seconds", "when_limited")
_LONGEST_PERIOD_SECONDS = 86_400


def clean(
    kind_name: str, config: Any, input_schema: Any, output_schema: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """(config, input_schema, output_schema) as they are stored. InvalidInput with every fault."""
    faults: list[FieldProblem] = []
    cleaned: dict[str, Any] = {}
    if kind_name not in KINDS:
        message = f"Tools can be of these kinds: {', '.join(KINDS)}."
        faults.append(FieldProblem("kind", "invalid_choice", message))
    elif not isinstance(config, Mapping):
        faults.append(FieldProblem("config", "invalid", "config must be an object."))
    else:
        try:
            _check_size(config)
            cleaned = kind(kind_name).clean(config)
        except InvalidInput as exc:
            faults += exc.errors
    faults += schemas.schema_faults(input_schema, "input_schema")
    if output_schema is not None:
        faults += schemas.schema_faults(output_schema, "output_schema")
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return cleaned, input_schema, output_schema


def _check_size(config: Mapping[str, Any]) -> None:
    if len(json.dumps(config)) > MAX_CONFIG_BYTES:
        raise InvalidInput.of("config", "The config is larger than 256 KB.", "too_large")


def fingerprint(kind_name: str, config: Any, input_schema: Any, output_schema: Any) -> str:
    """The SHA-256 by which a definition is pinned; the same for the same definition."""
    text = json.dumps([kind_name, config, input_schema, output_schema], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def rate_limit(value: Any) -> dict[str, Any] | None:
    """{limit, per_seconds, when_limited} or None. InvalidInput names the wrong key."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput.of("rate_limit", "rate_limit must be an object or null.")
    faults = [
        FieldProblem(f"rate_limit.{key}", "unknown_field", "Unknown field.")
        for key in value
        if key not in _LIMIT_KEYS
    ]
    limit, period = value.get("limit"), value.get("per_seconds", 1)
    when = value.get("when_limited", "wait")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1_000_000:
        message = "limit is a whole number from 1 to 1,000,000."
        faults.append(FieldProblem("rate_limit.limit", "invalid", message))
    if (
        isinstance(period, bool)
        or not isinstance(period, int | float)
        or not 0 < period <= _LONGEST_PERIOD_SECONDS
    ):
        message = "per_seconds is a number above 0, at most a day."
        faults.append(FieldProblem("rate_limit.per_seconds", "invalid", message))
    if when not in _WHEN_LIMITED:
        message = f"when_limited is one of {', '.join(_WHEN_LIMITED)}."
        faults.append(FieldProblem("rate_limit.when_limited", "invalid_choice", message))
    if faults:
        raise InvalidInput(faults[0].message, errors=faults)
    return {"limit": limit, "per_seconds": period, "when_limited": when}

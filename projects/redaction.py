"""Secret values out of whatever is stored or shown."""

from collections.abc import Iterable
from typing import Any

from controlplane.kit.egress.redaction import Redactor


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """`value` (text or JSON) with every usual spelling of the secret values masked, keys included.

    For many values under the same secrets keep one `Redactor(secrets)` instead.
    """
    return Redactor(secrets).value(value)

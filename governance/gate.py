"""Answers controlplane.kit.gate (named in settings.GATE)."""

from collections.abc import Mapping
from typing import Any

from controlplane.kit.errors import DomainError
from controlplane.kit.gate import ALLOW, POINTS, Point, Verdict


def check(point: Point, context: Mapping[str, Any]) -> Verdict:
    """The verdict on an act: there are no policies yet, so every known point allows."""
    if point not in POINTS:
        raise DomainError(f"There is no policy point {point}.", code="unknown_point")
    return ALLOW

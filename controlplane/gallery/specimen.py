"""What the gallery shows of one component."""

from typing import Any, NamedTuple


class Specimen(NamedTuple):
    """One component (its template under components/) and the states to show it in."""

    template: str
    states: dict[str, dict[str, Any]]

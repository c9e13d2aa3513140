"""Gathers the faults of one definition, bounded, under the step they belong to."""

from collections.abc import Iterable

from workflows.graph.model import Fault

MAX_FAULTS = 200


class Collector:
    """Faults so far; `is_full` once there are so many that more would help nobody."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    @property
    def is_full(self) -> bool:
        """Whether no more is kept."""
        return len(self.faults) >= MAX_FAULTS

    def add(self, node: str | None, field: str, code: str, message: str) -> None:
        """Keep one fault."""
        if not self.is_full:
            self.faults.append(Fault(node, field, code, message))

    def add_below(
        self, node: str | None, field: str, problems: Iterable[tuple[str, str, str]]
    ) -> None:
        """Keep what a rule found, each place below `field`."""
        for place, code, message in problems:
            self.add(node, ".".join(part for part in (field, place) if part), code, message)
            if self.is_full:
                return

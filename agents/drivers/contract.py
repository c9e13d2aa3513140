"""What a driver of instances does. The fleet decides, the driver carries it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agents.models import Deployment, Instance


@dataclass(frozen=True, slots=True)
class Starter:
    """How processes come to be on this host: `start(name, arguments of manage.py)` answers the
    process id, `status(pid)` None while it runs, else a sentence on how it ended. `is_lasting`:
    they outlive who started them, and are found again."""

    start: Callable[[str, list[str]], int]
    status: Callable[[int], str | None]
    is_lasting: bool


class Driver(Protocol):
    """The instances of one kind of deployment."""

    def ensure(self, deployment: Deployment, live: list[Instance]) -> list[Instance]:
        """Find out which of the live instances have ended, say so, and return the others."""

    def scale(self, deployment: Deployment, live: list[Instance]) -> None:
        """Start what is missing, drain what is too many or not of the wanted version."""

    def drain(self, instance: Instance, reason: str) -> None:
        """Have an instance finish its work and end."""

    def stop(self, instance: Instance, reason: str) -> None:
        """End an instance at once; its steps go to others."""

    def logs(self, instance: Instance, lines: int) -> tuple[list[str], str]:
        """(the last lines it wrote, why there are none)."""

    def capacity(self) -> int:
        """How many more instances there is room for."""

"""The engine and heart of this process, set once by the worker command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runs.engine import Engine
    from runs.heart import Heart

_running: "tuple[Engine, Heart] | None" = None


def set_running(engine: "Engine", heart: "Heart") -> None:
    """This process is a worker."""
    global _running
    _running = (engine, heart)


def engine() -> "Engine":
    """The engine of this worker."""
    if _running is None:
        raise RuntimeError("This process is no worker.")
    return _running[0]


def heart() -> "Heart":
    """The heart of this worker."""
    if _running is None:
        raise RuntimeError("This process is no worker.")
    return _running[1]

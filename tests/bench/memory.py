"""Memory of the instance under test: the proportional share of our own processes."""

from pathlib import Path

from tests.bench.world import World

OTHERS = {"postgres", "valkey", "model"}


def memory(pid: int) -> float:
    """A process's proportional share of memory, in MiB; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def each_mib(world: World) -> dict[str, float]:
    """Process → MiB, of our Python processes."""
    processes = world.instance.status()["processes"]
    return {
        name: memory(each["pid"])
        for name, each in processes.items()
        if each["pid"] and name not in OTHERS
    }


def processes_mib(world: World) -> float:
    """All of them together."""
    return sum(each_mib(world).values())

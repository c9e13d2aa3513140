"""`make bench`: measures the figures of the contract, prints a table and writes bench.json."""

import argparse
import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

import uvloop

from controlplane.supervisor.config import ROOT
from tests.bench import reference
from tests.bench.work import FIGURES, Figure
from tests.bench.world import World
from tests.support.pace import lap
from tests.support.servers import crowding


def say(message: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def row(figure: Figure, values: dict[str, Any], limits: dict[str, float]) -> str:
    """One line of the table."""
    shown = [f"{key} {value:.2f}" for key, value in values.items() if isinstance(value, float)]
    judged = []
    for key in figure.musts:
        sign = ">" if figure.is_rate else "<"
        verdict = "holds" if figure.holds(key, values[key], limits) else "MISSED"
        judged.append(f"{key} {sign} {figure.must(key, limits):.1f} {verdict}")
    machine = (
        f"pg1 {limits['pg1']:.0f} pg8 {limits['pg8']:.0f} crowding {limits['crowding']:.1f}"
        f" lap {limits['lap_ms']:.0f} ms"
    )
    return (
        f"{figure.name:4} {figure.title:34} {'  '.join(shown):44} {'; '.join(judged):52} {machine}"
    )


async def measure(world: World, figures: list[Figure]) -> list[dict[str, Any]]:
    """Take each figure with the disk's reference right before it."""
    await world.connect()
    results = []
    for figure in figures:
        limits = reference.take(world.sockets, world.database_url)
        limits["crowding"] = crowding()
        # The processor's speed now, which musts do not scale with: about 50 ms on a usual machine.
        limits["lap_ms"] = min(lap() for _ in range(3)) * 1000
        await asyncio.sleep(1)
        before = world.processor_seconds()
        values = await figure.work(world)
        after = world.processor_seconds()
        used = {name: round(after[name] - before.get(name, 0.0), 2) for name in after}
        say(row(figure, values, limits))
        say(
            "     processor s: "
            + "  ".join(f"{name} {each}" for name, each in used.items() if each)
        )
        verdicts = {key: figure.holds(key, values[key], limits) for key in figure.musts}
        results.append(
            {"figure": figure.name, "title": figure.title, "values": values, **limits}
            | {"processor_seconds": used}
            | {"musts": {key: figure.must(key, limits) for key in figure.musts}, "holds": verdicts}
        )
    await world.close()
    return results


def main() -> int:
    """Measure; 0 also where a must is missed, unless --strict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="comma list of figures, such as W1,W3")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="fail when a must is missed")
    options = parser.parse_args()
    wanted = {name.strip().upper() for name in options.only.split(",") if name.strip()}
    figures = [each for each in FIGURES if not wanted or each.name in wanted]
    world = World(options.workers)
    try:
        world.start()
        if any(figure.name == "W5" for figure in figures):  # the start it measures has data
            world.instance.stop()
            world.instance.start()
            time.sleep(3)
        results = uvloop.run(measure(world, figures))
    finally:
        world.stop()
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "workers": options.workers,
        "figures": results,
    }
    (ROOT / "bench.json").write_text(json.dumps(report, indent=1))
    missed = [each["figure"] for each in results if not all(each["holds"].values())]
    say(f"bench.json written; {'missed: ' + ', '.join(missed) if missed else 'all musts hold'}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())

"""W8, W9, W10: many calls that wait, many who look on, many workers killed."""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from controlplane.supervisor.config import ROOT
from tests.bench.memory import processes_mib
from tests.bench.world import HOST, World
from tests.engine.invariants import assert_invariants
from tests.support.client import TERMINAL

CALLS = 500
CALL_SECONDS = 2.0
SOCKETS = 200
BUSY_STEPS = 60
KILLS = 50
LONGEST_RECOVERY_SECONDS = 60.0


@asynccontextmanager
async def model_server() -> AsyncIterator[str]:
    """A server with the OpenAI wire format that takes its time; its base URL."""
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.support.model_servers", "openai"),
            *("--delay", str(CALL_SECONDS)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        yield server.stdout.readline().split()[1]
    finally:
        server.terminate()
        server.wait(10)


async def w8(world: World) -> dict[str, float]:
    """500 runs whose one step calls a model that takes 2 s: seconds in all, MiB more at most."""
    async with model_server() as url:
        config = {"provider": "openai", "base_url": url, "model": "slow", "instructions": "Go."}
        agent = {"project": world.client.project, "slug": "slow", "name": "Slow", "kind": "model"}
        world.client.made("/agents", {**agent, "config": config})
        node = {"id": "ask", "kind": "agent", "agent": "slow", "prompt": "Hello?"}
        made = world.client.make_workflow("ask", {"nodes": [node], "edges": []})
        rest = processes_mib(world)
        peak, is_over = rest, asyncio.Event()

        async def watch() -> None:
            nonlocal peak
            while not is_over.is_set():
                peak = max(peak, await asyncio.to_thread(processes_mib, world))
                await asyncio.sleep(0.5)

        watching = asyncio.create_task(watch())
        one = {"workflow": made["id"], "environment": "dev", "input": {}}
        before = time.monotonic_ns()
        answer = await world.wire.ask("POST", "/runs/batch", {"runs": [one] * CALLS})
        ids = [each["run"]["id"] for each in answer["results"]]
        last = max([await world.end_of(run_id, 120) for run_id in ids])
        is_over.set()
        await watching
        return {"seconds": (last - before) / 1e9, "more_mib": peak - rest}


async def _listen(socket: ClientConnection, heard: list[tuple[float, str]]) -> None:
    async for message in socket:
        heard.append((time.time(), message))  # Taken apart afterwards: it must cost little now.


async def w9(world: World) -> dict[str, float]:
    """200 sockets on one run that tells some 60 events a second: from the event's writing to each
    of them."""
    nodes = [
        {"id": f"s{n}", "kind": "tool", "tool": "nap", "arguments": {"seconds": 0.05}}
        for n in range(BUSY_STEPS)
    ]
    edges = [{"from": f"s{n}", "to": f"s{n + 1}"} for n in range(BUSY_STEPS - 1)]
    world.client.make_tool("nap", "sleep")
    wait = {"id": "go", "kind": "signal", "name": "go"}
    edges.append({"from": "go", "to": "s0"})
    made = world.client.make_workflow("busy", {"nodes": [wait, *nodes], "edges": edges})
    run = world.client.start(made)
    while world.client.run(run["id"])["status"] != "waiting":
        await asyncio.sleep(0.1)
    heard: list[list[tuple[float, str]]] = [[] for _ in range(SOCKETS)]
    sockets = [
        await connect(
            f"ws://{HOST}:{world.instance.port}/ws/runs/{run['id']}",
            subprotocols=["bearer", world.client.access],  # type: ignore[list-item]
            compression=None,
            proxy=None,
        )
        for _ in range(SOCKETS)
    ]
    listening = [
        asyncio.create_task(_listen(socket, into))
        for socket, into in zip(sockets, heard, strict=True)
    ]
    await asyncio.sleep(0.5)
    await world.wire.ask("POST", f"/runs/{run['id']}/signals/go", {})
    await world.end_of(run["id"])
    await asyncio.sleep(1.5)
    for socket in sockets:
        await socket.close()
    await asyncio.gather(*listening, return_exceptions=True)
    took, counts = [], set()
    for each in heard:
        events = [(at, found) for at, text in each if "seq" in (found := json.loads(text))]
        counts.add(tuple(event["seq"] for _, event in events))
        took += [1000 * (at - datetime.fromisoformat(e["at"]).timestamp()) for at, e in events]
    assert len(counts) == 1, f"sockets heard {len(counts)} different histories"
    assert list(*counts) == list(range(min(*counts), max(*counts) + 1)), "a gap"
    cuts = statistics.quantiles(took, n=20, method="inclusive")
    return {
        "p50_ms": statistics.median(took),
        "p95_ms": cuts[18],
        "events": len(next(iter(counts))),
    }


def _worker(world: World) -> int | None:
    processes = world.instance.status()["processes"]
    pids = [each["pid"] for name, each in processes.items() if name.startswith("worker")]
    return pids[0] if pids else None


async def w10(world: World) -> dict[str, float]:
    """kill -9 of the worker in the middle of a step, 50 times: until the step runs again; runs that
    did not succeed; finished steps that ran again."""
    folder = Path(world.folder.name) / "tally"
    folder.mkdir(exist_ok=True)
    world.client.make_tool("tally", "tally")
    world.client.make_tool("stumble", "stumble")
    nodes = [
        {"id": name, "kind": "tool", "tool": tool,
         "arguments": {"file": f"{folder}/${{input.number}}-{name}"}}
        for name, tool in (("a", "tally"), ("b", "stumble"), ("c", "tally"))
    ]  # fmt: skip
    edges = [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}]
    made = world.client.make_workflow("killed", {"nodes": nodes, "edges": edges})
    took, runs = [], []
    for number in range(KILLS):
        run = world.client.start(made, {"number": number})
        runs.append(run["id"])
        begun = folder / f"{number}-b"
        await _until(lambda begun=begun: begun.exists())
        await asyncio.sleep(0.05)
        killed_at = time.time()
        os.kill(_worker(world) or 0, signal.SIGKILL)
        await _until(lambda begun=begun: len(begun.read_text().splitlines()) > 1)
        took.append(float(begun.read_text().splitlines()[1]) - killed_at)
        await _until(lambda run=run: world.client.run(run["id"])["status"] in TERMINAL)
    lost = sum(world.client.run(run_id)["status"] != "succeeded" for run_id in runs)
    again = sum(
        len((folder / f"{number}-{name}").read_text().splitlines()) - 1
        for number in range(KILLS)
        for name in ("a", "c")
    )
    assert_invariants(world.database_url, runs)
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return {
        "p50_s": statistics.median(took), "p99_s": cuts[98], "lost": float(lost),
        "done_twice": float(again),
    }  # fmt: skip


async def _until(done: Any) -> None:
    async with asyncio.timeout(LONGEST_RECOVERY_SECONDS):
        while not done():
            await asyncio.sleep(0.02)


async def w4(world: World) -> dict[str, float]:
    """One run of a map over 200 items and a step after it, in seconds; median of seven."""
    body = {"nodes": [{"id": "w", "kind": "tool", "tool": "noop", "arguments": {}}], "edges": []}
    nodes = [
        {"id": "m", "kind": "map", "over": "${input.items}", "body": body, "max_concurrency": 200},
        {"id": "z", "kind": "transform", "set": {"n": "${size(steps.m.output)}"}},
    ]
    definition = {"nodes": nodes, "edges": [{"from": "m", "to": "z"}],
                  "output": {"n": "${steps.z.output.n}"}}  # fmt: skip
    world.workflows["map"] = world.client.make_workflow("map", definition)["id"]
    took = []
    for number in range(8):
        run_id, before, _ = await world.start_run("map", {"items": list(range(200))})
        ended = await world.end_of(run_id)
        if number:
            took.append((ended - before) / 1e9)
    assert world.client.run(run_id)["output"] == {"n": 200}
    return {"seconds": statistics.median(took), "worst_s": max(took)}

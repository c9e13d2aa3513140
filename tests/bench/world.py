"""The instance under test: started as `make up` does; with a user, tools, workflows, a socket."""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from controlplane.supervisor import folders
from controlplane.supervisor.postgres import address
from tests.bench.wire import Wire
from tests.platform.instance import Instance, children_of
from tests.support.client import TERMINAL, Client

HOST = "127.0.0.1"
# The first start migrates; W5 measures the second.
LONGEST_START_SECONDS = 240
TERMINAL_EVENTS = {f"run.{status}" for status in TERMINAL}


def chain(tool: str, length: int) -> dict[str, Any]:
    """A definition of so many steps, one after the other."""
    nodes = [{"id": f"s{n}", "kind": "tool", "tool": tool, "arguments": {}} for n in range(length)]
    edges = [{"from": f"s{n}", "to": f"s{n + 1}"} for n in range(length - 1)]
    return {"input_schema": {"type": "object"}, "nodes": nodes, "edges": edges, "output": {}}


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class World:
    """One instance with one project, and the newest events of its activity socket."""

    def __init__(self, workers: int) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="sparkops-bench-")
        self.instance = Instance(
            Path(self.folder.name) / "data",
            SPARKOPS_DEMO="off",
            SPARKOPS_WORKERS=str(workers),
            SPARKOPS_RATE="1000000/s",
            SPARKOPS_FUNCTIONS="tests.bench.functions",
            # The model server of W8.
            SPARKOPS_EGRESS_ALLOW="127.0.0.1/32",
        )
        self.ended: dict[str, tuple[int, str]] = {}
        self.heard = asyncio.Event()
        self.workflows: dict[str, str] = {}

    @property
    def sockets(self) -> Path:
        """The folder of the servers' sockets."""
        return folders.socket_dir(self.instance.data_dir)

    @property
    def database_url(self) -> str:
        """The database under test."""
        return address(self.sockets)

    def start(self) -> None:
        """Start it and make what the runs need."""
        self.instance.start(LONGEST_START_SECONDS)
        self.client = Client(self.instance.url).register("Bench")
        self.client.make_tool("noop", "noop")
        self.client.make_tool("clock", "clock")
        for name, tool, length in (
            ("one", "noop", 1),
            ("three", "noop", 3),
            ("hundred", "noop", 100),
            ("clock", "clock", 1),
        ):
            made = self.client.make_workflow(name, chain(tool, length))
            self.workflows[name] = made["id"]

    async def connect(self) -> None:
        """Open the connection for requests and the activity socket."""
        port = self.instance.port
        self.wire = await Wire(HOST, port, self.client.access).open()
        self.socket = await connect(
            f"ws://{HOST}:{port}/ws/activity?project={self.client.project}",
            subprotocols=["bearer", self.client.access],  # type: ignore[list-item]
            compression=None,
            proxy=None,
        )
        first = json.loads(await self.socket.recv())
        assert first["type"] == "ready", first
        self.listening = asyncio.create_task(self._listen(self.socket))

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            now = time.monotonic_ns()
            event = json.loads(message)
            if event["type"] in TERMINAL_EVENTS:
                self.ended[event["run"]] = (now, event["type"])
                self.heard.set()

    async def start_run(self, workflow: str, input: Any = None) -> tuple[str, int, int]:
        """Start a run; its id and the clock before the request and after the answer."""
        body = {"workflow": self.workflows[workflow], "environment": "dev", "input": input or {}}
        before = time.monotonic_ns()
        run = await self.wire.ask("POST", "/runs", body)
        return run["id"], before, time.monotonic_ns()

    async def end_of(self, run_id: str, seconds: float = 60) -> int:
        """Wait until the socket has told a run's success; the clock at that moment."""
        async with asyncio.timeout(seconds):
            while run_id not in self.ended:
                self.heard.clear()
                await self.heard.wait()
        at, how = self.ended[run_id]
        assert how == "run.succeeded", f"run {run_id}: {how}"
        return at

    def processor_seconds(self) -> dict[str, float]:
        """Processor time so far by process, PostgreSQL's children together, and our own."""
        used = {"client": time.process_time()}
        for name, each in self.instance.status()["processes"].items():
            pids = [each["pid"]] if each["pid"] else []
            pids += children_of(pids[0]) if name == "postgres" else []
            used[name] = sum(_processor_seconds(pid) for pid in pids)
        return used

    async def close(self) -> None:
        """Close the client's side."""
        self.listening.cancel()
        await self.socket.close()
        self.wire.close()

    def stop(self) -> None:
        """End the instance."""
        self.instance.end()
        self.folder.cleanup()

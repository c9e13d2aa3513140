"""A real MCP server for tests, of the official SDK, as a process of its own.

`python -m tests.support.mcp_server` serves it on a free port and prints its address. POST /change
with {"description": …} gives the tool `add` another definition, {"gone": true} takes it away.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

ROOT = Path(__file__).resolve().parents[2]
ADDS = "Add two numbers."
SEEN: list[dict[str, str]] = []


class Sum(BaseModel):
    """What `add` answers."""

    sum: int


def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(sum=a + b)


def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


def words() -> list[str]:
    """Some words."""
    return ["one", "two"]


def refuse(why: str) -> str:
    """Fail with words."""
    raise ToolError(why)


def big(size: int) -> str:
    """A text of so many characters."""
    return "x" * size


async def slow(seconds: float, ctx: Context) -> str:
    """Take some time, telling how far it is."""
    for part in range(1, 5):
        await asyncio.sleep(seconds / 4)
        await ctx.report_progress(part, 4, f"part {part}")
    return "done"


def build(token: str | None) -> Any:
    """The application: the server below /mcp and the door of the tests."""
    server = MCPServer("Probe", version="1.2", instructions="For tests.", log_level="ERROR")
    reads = ToolAnnotations(read_only_hint=True)
    server.add_tool(add, annotations=reads)
    for function in (shout, words, refuse, big, slow):
        server.add_tool(function)

    @server.custom_route("/change", methods=["POST"])
    async def change(request: Request) -> JSONResponse:
        body = await request.json()
        with contextlib.suppress(Exception):
            server.remove_tool("add")
        if not body.get("gone"):
            described = body.get("description", ADDS)
            server.add_tool(add, description=described, annotations=reads)
        return JSONResponse({"ok": True})

    @server.custom_route("/seen", methods=["GET"])
    async def seen(request: Request) -> JSONResponse:
        return JSONResponse(SEEN)

    app = server.streamable_http_app()
    return _Guarded(app, token)


class _Guarded:
    """Asks for a bearer token, and notes what comes."""

    def __init__(self, app: Any, token: str | None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            headers = {k.decode(): v.decode() for k, v in scope["headers"]}
            SEEN.append({"method": scope["method"], "auth": headers.get("authorization", "")})
            if self.token and headers.get("authorization") != f"Bearer {self.token}":
                answer = JSONResponse({"error": "who are you"}, status_code=401)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


class McpServer:
    """The running process, as a test sees it."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process, self.address = process, address
        self.url = f"http://{address}/mcp"

    def change(self, **body: Any) -> None:
        """Give `add` another definition; without arguments its first one."""
        httpx2.post(f"http://{self.address}/change", json=body, timeout=10).raise_for_status()

    def seen(self) -> list[dict[str, str]]:
        """The requests it had."""
        return httpx2.get(f"http://{self.address}/seen", timeout=10).json()


@contextlib.contextmanager
def mcp_server(token: str = "") -> Iterator[McpServer]:
    """A process of this server, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.mcp_server", token],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert line.startswith("ready "), line
        yield McpServer(process, line.split()[1])
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Serve until ended."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    host, port = listener.getsockname()
    app = build(sys.argv[1] if len(sys.argv) > 1 else None)
    sys.stdout.write(f"ready {host}:{port}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", lifespan="on", ws="none")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

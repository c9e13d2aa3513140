"""A stack with two workers that may call this machine, and servers for it to call."""

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.support.client import Client
from tests.support.mcp_server import McpServer, mcp_server
from tests.support.stack import Stack
from tests.tools.counter import Counter


@pytest.fixture(scope="session")
def tool_stack(make_stack: Callable[..., Stack]) -> Stack:
    """Two workers."""
    settings = {"SPARKOPS_EGRESS_ALLOW": "127.0.0.0/8"}
    return make_stack(name="tools", workers=2, settings=settings)


@pytest.fixture(scope="session")
def _tess(tool_stack: Stack) -> Client:
    return tool_stack.register("Tess")


@pytest.fixture
def tess(_tess: Client) -> Client:
    """A user with a new project of her own."""
    _tess.project = _tess.made("/projects", {"name": f"Tess {secrets.token_hex(4)}"})["id"]
    return _tess


@pytest.fixture(scope="session")
def counter() -> Iterator[Counter]:
    """The counting server."""
    counter = Counter()
    yield counter
    counter.close()


@pytest.fixture(scope="session")
def _probe() -> Iterator[McpServer]:
    with mcp_server() as server:
        yield server


@pytest.fixture
def probe(_probe: McpServer) -> McpServer:
    """An MCP server with the definitions it began with."""
    _probe.change()
    return _probe

"""Small real servers that behave as badly as a test asks, and both doors to call them by."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from controlplane.kit import egress
from controlplane.kit.egress import resolution

Handler = Callable[[socket.socket, bytes], None]


def answer(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole HTTP/1.1 answer as bytes."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


@dataclass
class Server:
    """A TCP server on a free port of loopback; `handler` gets the socket and each request head."""

    handler: Handler
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with conn:
            try:
                while head := self._head(conn):
                    self.requests.append(head)
                    self.handler(conn, head)
            except OSError:
                return

    @staticmethod
    def _head(conn: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            part = conn.recv(65536)
            if not part:
                return b""
            data += part
        return data

    def close(self) -> None:
        """Stop listening; a second time does nothing."""
        if self._is_closed:
            return
        # Closing alone leaves the port open while another thread waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._is_closed = True


@pytest.fixture
def serve() -> Iterator[Callable[[Handler | bytes], Server]]:
    """`serve(handler or bytes)` starts a server that ends with the test."""
    started: list[Server] = []

    def start(handler: Handler | bytes) -> Server:
        if isinstance(handler, bytes):
            fixed = handler
            handler = lambda conn, head: conn.sendall(fixed)  # noqa: E731
        started.append(Server(handler))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(params=["async", "blocking"])
def call(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """`call(method, url, **limits)` through the asyncio door and through the one for threads."""

    async def once(*args: Any, **kwargs: Any) -> Any:
        try:
            return await egress.request(*args, **kwargs)
        finally:
            await egress.aclose()

    if request.param == "async":
        yield lambda *args, **kwargs: asyncio.run(once(*args, **kwargs))
    else:
        yield egress.request_blocking
        egress.close()


@pytest.fixture
def loopback(settings: Any) -> None:
    """The operator allows IPv4 loopback."""
    settings.SPARKOPS_EGRESS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A fake resolver: fill in name -> addresses; a list of lists answers one after the other."""
    table: dict[str, Any] = {}

    def lookup(host: str, port: int) -> list[str]:
        if host not in table:
            raise socket.gaierror(-2, "Name or service not known")
        found = table[host]
        if found and isinstance(found[0], list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    monkeypatch.setattr(resolution, "lookup", lookup)
    return table

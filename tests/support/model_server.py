"""A model server of no particular wire format, over real sockets; see model_servers."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    529: "Overloaded",
}


@dataclass(frozen=True)
class Reply:
    """What a server says to one request.

    `tool_calls` are (name, arguments) with arguments a dict or raw text. `delay`: seconds before
    the first byte; `pause`: between pieces. `cut`: the connection breaks in mid-stream, `ends`:
    it ends tidily but too early. `body` replaces the whole answer. `tokens`: (input, output).
    """

    text: str = ""
    tool_calls: tuple[tuple[str, Any], ...] = ()
    finish: str = ""
    refusal: str = ""
    thinking: str = ""
    status: int = 200
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pause: float = 0.0
    streams: bool = True
    cut: bool = False
    ends: bool = False
    body: bytes | None = None
    tokens: tuple[int, int] | None = (10, 5)
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    error_in_stream: dict[str, Any] | None = None


def pieces(text: str) -> list[str]:
    """A text in three pieces or fewer."""
    size = max(1, -(-len(text) // 3))
    return [text[i : i + size] for i in range(0, len(text), size)]


def as_text(arguments: Any) -> str:
    """Arguments of a tool call as the model writes them."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


Script = Callable[[dict[str, Any]], Reply]


class ModelServer:
    """One server on 127.0.0.1, in a thread of its own; `with OpenAIServer(Reply(...)) as server`.

    Replies are given in order, the last one again and again; a function takes the request's JSON
    and gives the reply. `requests` holds what was asked: {path, headers, body}.
    """

    path: ClassVar[str]
    prefix: ClassVar[str] = ""

    def __init__(self, *replies: Reply, script: Script | None = None) -> None:
        self.replies = list(replies) or [Reply(text="Hello.")]
        self.script = script
        self.requests: list[dict[str, Any]] = []
        # What …/models lists (None: there is no such list), and the key it asks for.
        self.listed: list[str] | None = None
        self.key = ""
        self.port = 0
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        """host:port, for SPARKOPS_EGRESS_ALLOW."""
        return f"127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What a configuration names."""
        return f"http://{self.address}{self.prefix}"

    def __enter__(self) -> Self:
        threading.Thread(target=lambda: asyncio.run(self.serve(0)), daemon=True).start()
        if not self._ready.wait(10):
            raise RuntimeError("The model server did not start.")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def serve(self, port: int, say: Callable[[str], object] | None = None) -> None:
        """Serve until stopped; `say` gets the base URL when it is up."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", port, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        if say:
            say(self.base_url)
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {k.lower(): v.strip() for k, v in (h.split(":", 1) for h in head[1:] if h)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.loads(content) if content else {}
        self.requests.append({"path": path, "headers": headers, "body": body})
        if self.listed is not None and path.split("?")[0].endswith("/models"):
            reply = self.models(headers)
        elif path.split("?")[0] != self.prefix + self.path:
            reply = Reply(status=404, error={"type": "not_found_error", "message": f"no {path}"})
        elif self.script:
            reply = self.script(body)
        else:
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await asyncio.sleep(reply.delay)
        return await self._send(writer, reply, body)

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply, body: dict[str, Any]) -> bool:
        status = f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Status')}\r\n"
        more = "".join(f"{k}: {v}\r\n" for k, v in reply.headers.items())
        if (
            reply.status != 200
            or reply.body is not None
            or not (reply.streams and body.get("stream"))
        ):
            content = reply.body
            if content is None:
                value = self.error(reply) if reply.status != 200 else self.whole(reply, body)
                content = json.dumps(value).encode()
            length = f"content-length: {len(content)}\r\ncontent-type: application/json\r\n"
            writer.write(f"{status}{more}{length}\r\n".encode() + content)
            await writer.drain()
            return True
        kind = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"{status}{more}{kind}\r\n".encode())
        events = list(self.events(reply, body))
        if reply.cut or reply.ends:
            events = events[: len(events) // 2]
        for event in events:
            data = event.encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            if reply.pause:
                await writer.drain()
                await asyncio.sleep(reply.pause)
        if reply.cut:
            writer.transport.abort()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def models(self, headers: dict[str, str]) -> Reply:
        """The models it lists, for who brings the key."""
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return Reply(status=401)
        return Reply(body=json.dumps({"data": [{"id": name} for name in self.listed]}).encode())

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of a refusal."""
        return {"error": reply.error or {"type": "api_error", "message": "It went wrong."}}

    def whole(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """The answer in one piece."""
        raise NotImplementedError

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterable[str]:
        """The answer as server-sent events."""
        raise NotImplementedError

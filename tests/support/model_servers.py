"""Model servers for tests and the bench: the OpenAI and Anthropic wire formats over real sockets.

`python -m tests.support.model_servers openai --delay 2` serves one as a process of its own and
prints its address.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

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

    def __enter__(self) -> "ModelServer":
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
        if path.split("?")[0] != self.prefix + self.path:
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

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of a refusal."""
        return {"error": reply.error or {"type": "api_error", "message": "It went wrong."}}

    def whole(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """The answer in one piece."""
        raise NotImplementedError

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterable[str]:
        """The answer as server-sent events."""
        raise NotImplementedError


class OpenAIServer(ModelServer):
    """POST /v1/chat/completions."""

    path = "/chat/completions"
    prefix = "/v1"

    def usage(self, reply: Reply) -> dict[str, Any] | None:
        """The usage object, or None where the server keeps silent."""
        if reply.tokens is None:
            return None
        read, written = reply.tokens
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": reply.cached},
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning},
        }

    def finish(self, reply: Reply) -> str:
        """Why it ended."""
        return reply.finish or ("tool_calls" if reply.tool_calls else "stop")

    def whole(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """A chat.completion."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.refusal:
            message["refusal"] = reply.refusal
        if reply.tool_calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{i}",
                    "type": "function",
                    "function": {"name": name, "arguments": as_text(arguments)},
                }
                for i, (name, arguments) in enumerate(reply.tool_calls)
            ]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body.get("model"),
            "usage": self.usage(reply),
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish(reply)}],
        }

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[str]:
        """chat.completion.chunk events."""
        base = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body.get("model"),
        }

        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps({**base, 'choices': [choice]})}\n\n"

        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces(reply.text):
            yield chunk({"content": piece})
        if reply.error_in_stream:
            yield f"data: {json.dumps({'error': reply.error_in_stream})}\n\n"
            return
        if reply.refusal:
            yield chunk({"refusal": reply.refusal})
        for i, (name, arguments) in enumerate(reply.tool_calls):
            function = {"name": name, "arguments": ""}
            yield chunk(
                {
                    "tool_calls": [
                        {"index": i, "id": f"call_{i}", "type": "function", "function": function}
                    ]
                }
            )
            for piece in pieces(as_text(arguments)):
                yield chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
        yield chunk({}, self.finish(reply))
        if body.get("stream_options", {}).get("include_usage") and reply.tokens:
            yield f"data: {json.dumps({**base, 'choices': [], 'usage': self.usage(reply)})}\n\n"
        yield "data: [DONE]\n\n"


class AnthropicServer(ModelServer):
    """POST /v1/messages."""

    path = "/v1/messages"

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of a refusal."""
        return {"type": "error", **super().error(reply)}

    def usage(self, reply: Reply) -> dict[str, Any]:
        """The usage object; input_tokens leave cached ones out."""
        read, written = reply.tokens or (0, 0)
        return {
            "input_tokens": read - reply.cached - reply.cache_written,
            "cache_read_input_tokens": reply.cached,
            "cache_creation_input_tokens": reply.cache_written,
            "output_tokens": written,
        }

    def finish(self, reply: Reply) -> str:
        """Why it ended."""
        return reply.finish or ("tool_use" if reply.tool_calls else "end_turn")

    def blocks(self, reply: Reply) -> list[dict[str, Any]]:
        """The content."""
        found: list[dict[str, Any]] = []
        if reply.thinking:
            found.append({"type": "thinking", "thinking": reply.thinking, "signature": "sig"})
        if reply.text:
            found.append({"type": "text", "text": reply.text})
        return found + [
            {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": arguments}
            for i, (name, arguments) in enumerate(reply.tool_calls)
        ]

    def whole(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
        """A message."""
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body.get("model"),
            "content": self.blocks(reply),
            "stop_reason": self.finish(reply),
            "usage": self.usage(reply),
        }

    def events(self, reply: Reply, body: dict[str, Any]) -> Iterator[str]:
        """message_start to message_stop."""

        def event(kind: str, **more: Any) -> str:
            return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"

        message = {**self.whole(reply, body), "content": [], "stop_reason": None}
        message["usage"] = {**self.usage(reply), "output_tokens": 1}
        yield event("message_start", message=message)
        yield event("ping")
        for index, block in enumerate(self.blocks(reply)):
            yield from self._block(event, index, block)
        if reply.error_in_stream:
            yield event("error", error=reply.error_in_stream)
            return
        yield event(
            "message_delta",
            delta={"stop_reason": self.finish(reply)},
            usage={"output_tokens": (reply.tokens or (0, 0))[1]},
        )
        yield event("message_stop")

    def _block(self, event: Callable[..., str], index: int, block: dict[str, Any]) -> Iterator[str]:
        start: dict[str, Any] = {"type": block["type"]}
        deltas: list[dict[str, Any]] = []
        if block["type"] == "tool_use":
            start.update(id=block["id"], name=block["name"], input={})
            deltas = [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in ["", *pieces(as_text(block["input"]))]
            ]
        elif block["type"] == "thinking":
            start.update(thinking="", signature="")
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        else:
            start["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        yield event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)


SERVERS = {"openai": OpenAIServer, "anthropic": AnthropicServer}


def main() -> None:
    """Serve one model as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wire", choices=SERVERS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--text", default="It is sunny; take a hat.")
    given = parser.parse_args()
    server = SERVERS[given.wire](Reply(text=given.text, delay=given.delay))

    def say(base_url: str) -> None:
        sys.stdout.write(f"ready {base_url}\n")
        sys.stdout.flush()

    asyncio.run(server.serve(given.port, say))


if __name__ == "__main__":
    main()

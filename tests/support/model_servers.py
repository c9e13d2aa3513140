"""Model servers for tests and the bench: the OpenAI and Anthropic wire formats over real sockets.

`python -m tests.support.model_servers openai --delay 2` serves one as a process of its own and
prints its address.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.model_server import ModelServer, Reply, as_text, pieces

__all__ = ["AnthropicServer", "ModelServer", "OpenAIServer", "Reply"]


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

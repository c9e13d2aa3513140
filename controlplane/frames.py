"""One message to many sockets: its frame is made once and written as it is (docs/decisions/0018).

A server's frames are the same for every client, so a run that 200 people look at costs one encoding
an event and one write a socket, instead of 200 walks through the layers in between.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

Send = Callable[[Any], Awaitable[None]]


class Message:
    """A text for sockets."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def frame(self) -> bytes:
        """As it goes over the wire."""
        return Frame(Opcode.TEXT, self.text.encode()).serialize(mask=False)


async def send_all(send: Send, messages: Sequence[Message]) -> None:
    """Send messages in order, waiting for a client that reads too slowly. `send` is what the ASGI
    server gave; where that is another server than ours it is asked for each message."""
    server = getattr(send, "__self__", None)
    if not isinstance(server, WebSocketsSansIOProtocol):
        for message in messages:
            await send({"type": "websocket.send", "text": message.text})
        return
    await server.writable.wait()
    if server.disconnected or server.close_sent or server.conn.state is not State.OPEN:
        raise ClientDisconnected
    server.transport.write(b"".join([message.frame for message in messages]))

"""A lean client on one kept connection, so that the client costs little beside the server."""

import asyncio
import json
from typing import Any


class Wire:
    """One HTTP/1.1 connection; requests one after the other. To the API with a token, or to pages
    with the cookie of a session."""

    def __init__(self, host: str, port: int, token: str = "", cookie: str = "") -> None:
        self.host = host
        self.port = port
        who = f"Authorization: Bearer {token}" if token else f"Cookie: {cookie}"
        kind = "application/json" if token else "text/html"
        self.head = (
            f"Host: {host}:{port}\r\n{who}\r\nContent-Type: application/json\r\nAccept: {kind}\r\n"
        )
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> "Wire":
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API; the decoded answer. A status of 400 and above fails."""
        content = await self.fetch(method, f"/api/v1{path}", body)
        return json.loads(content) if content else None

    async def fetch(self, method: str, path: str, body: Any = None) -> bytes:
        """One request; the answer as it came. A status of 300 and above fails."""
        assert self.reader
        assert self.writer
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self.head}Content-Length: {len(data)}\r\n\r\n"
        self.writer.write(head.encode() + data)
        answered = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = answered.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            content = await self._chunks(self.reader)
        else:
            content = await self.reader.readexactly(int(headers.get("content-length", 0)))
        status = int(lines[0].split(" ", 2)[1])
        assert status < 300, f"{method} {path}: {status} {content[:500]!r}"
        return content

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        content = b""
        while size := int(await reader.readline(), 16):
            content += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return content

    def close(self) -> None:
        """Close the connection."""
        if self.writer:
            self.writer.close()

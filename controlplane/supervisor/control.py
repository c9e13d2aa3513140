"""The supervisor's control socket: our own processes ask it for the model and for its state."""

import json
import selectors
import socket
from collections.abc import Callable
from pathlib import Path

Reply = Callable[[str], None]
LONGEST_REQUEST = 2_000


class Control:
    """Takes one-line requests on a unix socket and answers each with one line.

    `handlers` maps a request to a function that gets a reply function and may call it later; one in
    `takers` also gets what follows its first word.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        handlers: dict[str, Callable[[Reply], None]],
        takers: dict[str, Callable[[str, Reply], None]] | None = None,
    ) -> None:
        self.path = path
        self.selector = selector
        self.handlers = handlers
        self.takers = takers or {}
        path.unlink(missing_ok=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        path.chmod(0o600)
        self.server.listen(16)
        self.server.setblocking(False)
        selector.register(self.server, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        connection, _ = self.server.accept()
        connection.setblocking(False)
        heard = bytearray()
        self.selector.register(
            connection, selectors.EVENT_READ, lambda: self._hear(connection, heard)
        )

    def _hear(self, connection: socket.socket, heard: bytearray) -> None:
        try:
            data = connection.recv(LONGEST_REQUEST)
        except OSError:
            data = b""
        heard += data
        if data and b"\n" not in heard and len(heard) < LONGEST_REQUEST:
            return
        self.selector.unregister(connection)
        request = heard.decode(errors="replace").strip()

        def reply(line: str) -> None:
            with connection:
                connection.settimeout(1)
                try:
                    connection.sendall(f"{line}\n".encode())
                except OSError:
                    return

        handler = self.handlers.get(request)
        word, _, rest = request.partition(" ")
        if handler:
            handler(reply)
        elif word in self.takers:
            self.takers[word](rest, reply)
        else:
            reply(f"error unknown request, try one of: {', '.join(self.handlers)}")

    def close(self) -> None:
        """Take no more requests."""
        self.selector.unregister(self.server)
        self.server.close()
        self.path.unlink(missing_ok=True)


def ask(path: Path, request: str, seconds: float = 5) -> str:
    """Send one request to a supervisor and return its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(f"{request}\n".encode())
        with connection.makefile() as answer:
            return answer.readline().strip()


def as_line(value: object) -> str:
    """A value as one line of JSON."""
    return json.dumps(value, separators=(",", ":"))

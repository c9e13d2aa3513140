"""A small HTTP server outside of Spark-Ops that remembers every call it got."""

import json
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Book(ThreadingHTTPServer):
    """Calls by name, their idempotency keys, and who is being held up."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        # Names whose calls wait until this is set.
        self.go = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self.go.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """/now/<name> answers at once, /held/<name> when the book says go, /slow/<name> after 50 ms;
    /told/<name> tells what is known of a name and counts nothing."""

    protocol_version = "HTTP/1.1"
    server: Book

    def do_GET(self) -> None:
        """Count, wait as the path says, answer {name, n}."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        how, _, name = self.path.split("?")[0].strip("/").partition("/")
        book = self.server
        if how == "told":
            self._answer({"happened": book.calls[name] > 0, "n": book.calls[name]})
            return
        with book.lock:
            book.calls[name] += 1
            count = book.calls[name]
            book.keys[name].append(self.headers.get("Idempotency-Key", ""))
        if how == "held":
            book.go.wait(60)
        elif how == "slow":
            time.sleep(0.05)
        self._answer({"name": name, "n": count})

    do_POST = do_GET

    def _answer(self, found: dict[str, Any]) -> None:
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    def handle(self) -> None:
        """A caller that was killed is no fault of ours."""
        try:
            super().handle()
        except OSError:
            return

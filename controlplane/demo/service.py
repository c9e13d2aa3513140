"""`python -m controlplane.demo.service`: the demo shop over HTTP, by the standard library."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from controlplane.demo import shop

LARGEST_BODY = 1_000_000


class Memory:
    """What the service remembers while it runs: calls of /flaky and shipments by key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: dict[str, int] = {}
        self.shipments: dict[str, dict[str, Any]] = {}

    def count(self, key: str) -> int:
        """How often a key has been called, this time included."""
        with self.lock:
            self.calls[key] = self.calls.get(key, 0) + 1
            return self.calls[key]

    def ship(self, key: str, number: int, carrier: str) -> tuple[int, dict[str, Any]]:
        """Book a shipment once per idempotency key: 201 the first time, 200 afterwards."""
        with self.lock:
            if key and key in self.shipments:
                return 200, self.shipments[key]
            order = shop.order(number)
            booked = {
                "shipment": f"S-{number}-{len(self.shipments) + 1}",
                "order": number,
                "carrier": carrier,
                "weight_grams": order["weight_grams"],
                "country": order["country"],
            }
            self.shipments[key or booked["shipment"]] = booked
            return 201, booked


class Handler(BaseHTTPRequestHandler):
    """Routes a request to the shop and answers with JSON."""

    protocol_version = "HTTP/1.1"
    server_version = "SparkOpsDemo/1"
    memory = Memory()

    def do_GET(self) -> None:
        """Orders, articles, stock and readings."""
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self._answer(lambda: (200, self._get(unquote(parts.path).strip("/").split("/"), query)))

    def do_POST(self) -> None:
        """Quotes, shipments, and calls that fail on purpose."""
        self._answer(lambda: self._post(urlsplit(self.path).path.strip("/"), self._body()))

    def _get(self, path: list[str], query: dict[str, str]) -> Any:
        match path:
            case [""] | ["health"]:
                return {"status": "ok"}
            case ["orders"]:
                found = shop.orders(query.get("status"), query.get("customer"))
                limit = _whole(query.get("limit", "100"), "limit")
                return {"count": len(found), "orders": found[:limit]}
            case ["orders", number]:
                return shop.order(_whole(number, "order"))
            case ["stock"]:
                return {"stock": [shop.stock(sku) for sku in shop.CATALOGUE]}
            case ["stock", sku]:
                return shop.stock(sku)
            case ["readings"]:
                hours = _whole(query.get("hours", "24"), "hours")
                return shop.readings(query.get("sensor", "hall-north"), hours)
        raise shop.UnknownError(f"There is no page /{'/'.join(path)}.")

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "quotes":
            return 201, shop.quote(body.get("lines", []), str(body.get("country", "DE")))
        if path == "shipments":
            key = self.headers.get("Idempotency-Key", "")
            number = _whole(str(body.get("order", "")), "order")
            return self.memory.ship(key, number, str(body.get("carrier", "post")))
        if path == "flaky":
            failures = _whole(str(body.get("failures", 2)), "failures")
            call = self.memory.count(str(body.get("key", "")))
            if call <= failures:
                left = failures - call
                return 503, {"error": f"Busy, call {call} fails on purpose.", "still_failing": left}
            return 200, {"key": str(body.get("key", "")), "call": call, "value": body.get("value")}
        raise shop.UnknownError(f"There is nothing to post to /{path}.")

    def _body(self) -> dict[str, Any]:
        length = _whole(self.headers.get("Content-Length") or "0", "Content-Length")
        if length > LARGEST_BODY:
            self.close_connection = True
            raise shop.BadRequestError("The body is too large.")
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            raise shop.BadRequestError("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise shop.BadRequestError("The body must be a JSON object.")
        return body

    def _answer(self, work: Any) -> None:
        try:
            status, value = work()
        except shop.UnknownError as error:
            status, value = 404, {"error": str(error)}
        except shop.BadRequestError as error:
            status, value = 400, {"error": str(error)}
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """One line a request in the log."""
        sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise shop.BadRequestError(f"{name} must be a whole number.")
    return int(text)


def server(listener: socket.socket) -> ThreadingHTTPServer:
    """The service on a bound socket; the caller runs it."""
    listener.listen(128)
    service = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    service.socket.close()
    service.socket = listener
    service.daemon_threads = True
    return service


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    server(socket.socket(fileno=int(sys.argv[1]))).serve_forever(poll_interval=3600)


if __name__ == "__main__":
    main()

"""The demo shop answers with real, repeatable figures, and refuses nonsense."""

import socket
import threading
from collections.abc import Iterator
from decimal import Decimal

import httpx2
import pytest

from controlplane.demo import service


@pytest.fixture(scope="module")
def shop() -> Iterator[httpx2.Client]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    running = service.server(listener)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False
    ) as client:
        yield client
    running.shutdown()
    running.server_close()


def test_orders_are_the_same_each_time_and_can_be_narrowed(shop: httpx2.Client) -> None:
    first = shop.get("/orders", params={"status": "open"}).json()
    assert first == shop.get("/orders", params={"status": "open"}).json()
    assert first["count"] == len(first["orders"]) > 5
    assert {order["status"] for order in first["orders"]} == {"open"}


def test_an_order_adds_up(shop: httpx2.Client) -> None:
    order = shop.get("/orders/1003").json()
    assert Decimal(order["total"]) == sum(Decimal(line["total"]) for line in order["lines"])


def test_a_quote_adds_up(shop: httpx2.Client) -> None:
    lines = [{"sku": "mug-blue", "quantity": 12}, {"sku": "rug-wool", "quantity": 1}]
    quote = shop.post("/quotes", json={"lines": lines, "country": "FR"}).json()
    assert quote["subtotal"] == "324.00"
    assert quote["discount"] == "5.70"
    assert quote["shipping"] == "21.70"
    assert quote["total"] == "408.00"


def test_stock_counts_what_open_orders_hold(shop: httpx2.Client) -> None:
    stock = shop.get("/stock/chair-oak").json()
    assert stock["available"] == stock["in_stock"] - stock["reserved"]
    assert stock["needs_reorder"] is (stock["available"] < stock["reorder_level"])


def test_flaky_fails_as_often_as_asked_for_each_key(shop: httpx2.Client) -> None:
    body = {"key": "a", "failures": 2, "value": 7}
    codes = [shop.post("/flaky", json=body).status_code for _ in range(4)]
    assert codes == [503, 503, 200, 200]
    assert shop.post("/flaky", json={**body, "key": "b"}).headers["Retry-After"] == "1"


def test_a_shipment_is_booked_once_for_a_key(shop: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = shop.post("/shipments", json={"order": 1001}, headers=headers)
    again = shop.post("/shipments", json={"order": 1001}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_readings_hold_a_spike_to_be_found(shop: httpx2.Client) -> None:
    found = shop.get("/readings", params={"sensor": "cold-store", "hours": 72}).json()
    assert len(found["readings"]) == 72
    assert max(each["celsius"] for each in found["readings"]) > found["normal"] + 4


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/orders/9999", None, 404),
        ("GET", "/orders/x", None, 400),
        ("GET", "/nowhere", None, 404),
        ("POST", "/quotes", {"lines": []}, 400),
        ("POST", "/quotes", {"lines": [{"sku": "mug-blue", "quantity": 0}]}, 400),
        ("POST", "/quotes", [1], 400),
        ("GET", "/readings?hours=9999", None, 400),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    shop: httpx2.Client, method: str, path: str, body: object, status: int
) -> None:
    answer = shop.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")

"""A small mail-order shop as plain functions: the same orders, stock and prices on each start."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

FIRST_DAY = datetime.fromisoformat("2026-11-02T08:00:00+00:00")
STATUSES = ("open", "open", "packed", "shipped", "shipped", "open", "packed")
CUSTOMERS = (
    ("Fjord Coffee", "NO"),
    ("Hansa Books", "DE"),
    ("Atelier Lune", "FR"),
    ("Kauppa Oy", "FI"),
    ("Tidewater Ltd", "GB"),
)
# sku: name, price in euro, grams, pieces in stock, level at which to reorder
CATALOGUE: dict[str, tuple[str, str, int, int, int]] = {
    "lamp-desk": ("Desk lamp", "39.00", 1450, 40, 12),
    "mug-blue": ("Blue mug", "9.50", 320, 160, 60),
    "chair-oak": ("Oak chair", "129.00", 6800, 9, 6),
    "rug-wool": ("Wool rug", "210.00", 9300, 5, 4),
    "pen-set": ("Pen set", "14.90", 180, 75, 30),
    "clock-wall": ("Wall clock", "54.00", 900, 14, 10),
    "vase-clay": ("Clay vase", "32.00", 1100, 22, 15),
    "shelf-pine": ("Pine shelf", "75.00", 5400, 11, 5),
}
VAT_PERCENT = {"NO": 0, "GB": 0, "DE": 19, "FR": 20, "FI": 25}
SENSORS = {"hall-north": 18.5, "hall-south": 20.0, "cold-store": 4.0}


class UnknownError(LookupError):
    """What was asked for does not exist; the message is one sentence."""


class BadRequestError(ValueError):
    """The request makes no sense; the message is one sentence."""


def money(value: Decimal) -> str:
    """An amount of euro as text with two digits."""
    return str(value.quantize(Decimal("0.01"), ROUND_HALF_UP))


def product(sku: str) -> dict[str, Any]:
    """One article of the catalogue."""
    if sku not in CATALOGUE:
        raise UnknownError(f"There is no article {sku}.")
    name, price, grams, _, _ = CATALOGUE[sku]
    return {"sku": sku, "name": name, "price": price, "weight_grams": grams}


def _line(sku: str, quantity: int) -> dict[str, Any]:
    article = product(sku)
    total = Decimal(article["price"]) * quantity
    return {**article, "quantity": quantity, "total": money(total)}


def order(number: int) -> dict[str, Any]:
    """One order with its lines and totals."""
    if not 1001 <= number <= 1028:
        raise UnknownError(f"There is no order {number}.")
    index = number - 1001
    skus = list(CATALOGUE)
    customer, country = CUSTOMERS[index * 3 % len(CUSTOMERS)]
    lines = [
        _line(skus[(index * 5 + part * 3) % len(skus)], 1 + (index * 7 + part * 4) % 6)
        for part in range(1 + index % 3)
    ]
    placed = FIRST_DAY + timedelta(hours=index * 9, minutes=index * 17 % 60)
    return {
        "id": number,
        "customer": customer,
        "country": country,
        "status": STATUSES[index % len(STATUSES)],
        "placed_at": placed.isoformat(),
        "lines": lines,
        "weight_grams": sum(line["weight_grams"] * line["quantity"] for line in lines),
        "total": money(sum((Decimal(line["total"]) for line in lines), Decimal(0))),
        "currency": "EUR",
    }


def orders(status: str | None = None, customer: str | None = None) -> list[dict[str, Any]]:
    """All orders, narrowed by status and by a part of the customer's name."""
    found = [order(number) for number in range(1001, 1029)]
    if status:
        found = [each for each in found if each["status"] == status]
    if customer:
        found = [each for each in found if customer.lower() in each["customer"].lower()]
    return found


def stock(sku: str) -> dict[str, Any]:
    """Pieces of an article: in the house, promised to open orders, free, and whether to reorder."""
    article = product(sku)
    _, _, _, pieces, reorder_level = CATALOGUE[sku]
    reserved = sum(
        line["quantity"]
        for each in orders(status="open")
        for line in each["lines"]
        if line["sku"] == sku
    )
    available = pieces - reserved
    return {
        **article,
        "in_stock": pieces,
        "reserved": reserved,
        "available": available,
        "reorder_level": reorder_level,
        "needs_reorder": available < reorder_level,
    }


def _quantity(line: Mapping[str, Any]) -> int:
    quantity = line.get("quantity", 1)
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= 1000:
        raise BadRequestError("quantity must be a whole number from 1 to 1000.")
    return quantity


def quote(lines: Iterable[Any], country: str = "DE") -> dict[str, Any]:
    """Price a list of {sku, quantity}: discount from 10 pieces a line, freight by weight, VAT."""
    wanted = list(lines)
    if not wanted or not all(isinstance(line, dict) and "sku" in line for line in wanted):
        raise BadRequestError("lines must be a list of objects with sku and quantity.")
    if country not in VAT_PERCENT:
        raise BadRequestError(f"country must be one of {', '.join(VAT_PERCENT)}.")
    priced = [_line(str(line["sku"]), _quantity(line)) for line in wanted]
    subtotal = sum((Decimal(line["total"]) for line in priced), Decimal(0))
    discount = sum(
        (Decimal(line["total"]) / 20 for line in priced if line["quantity"] >= 10), Decimal(0)
    )
    grams = sum(line["weight_grams"] * line["quantity"] for line in priced)
    shipping = Decimal("4.90") + Decimal("1.20") * math.ceil(grams / 1000)
    net = subtotal - discount + shipping
    vat = net * VAT_PERCENT[country] / 100
    digest = hashlib.sha256(repr((priced, country)).encode()).hexdigest()[:10]
    return {
        "quote": f"Q-{digest}",
        "country": country,
        "lines": priced,
        "weight_grams": grams,
        "subtotal": money(subtotal),
        "discount": money(discount),
        "shipping": money(shipping),
        "vat": money(vat),
        "total": money(net + vat),
        "currency": "EUR",
    }


def readings(sensor: str, hours: int = 24) -> dict[str, Any]:
    """Hourly temperatures of a sensor in degrees Celsius: a daily wave and a few spikes."""
    if sensor not in SENSORS:
        raise UnknownError(f"There is no sensor {sensor}, only {', '.join(SENSORS)}.")
    if not 1 <= hours <= 720:
        raise BadRequestError("hours must be from 1 to 720.")
    base = SENSORS[sensor]
    series = []
    for hour in range(hours):
        wave = 1.8 * math.sin(2 * math.pi * (hour - 9) / 24)
        ripple = 0.3 * math.sin(hour * 1.7 + base)
        spike = 6.5 if (hour * 7 + len(sensor)) % 61 == 0 else 0.0
        at = FIRST_DAY + timedelta(hours=hour)
        series.append({"at": at.isoformat(), "celsius": round(base + wave + ripple + spike, 2)})
    return {"sensor": sensor, "unit": "celsius", "normal": base, "readings": series}

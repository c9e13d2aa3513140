"""The demo project as data: tools of the demo shop, an agent, three workflows that truly work."""

from typing import Any


def tools(shop: str) -> list[dict[str, Any]]:
    """The tools, given the shop's address (`http://127.0.0.1:port`)."""
    host = shop.removeprefix("http://")

    def http(slug: str, name: str, description: str, url: str, **more: Any) -> dict[str, Any]:
        effect = more.pop("effect_class", "read")
        stakes = "read" if effect == "read" else "write"
        config = {"method": "GET", "url": f"{shop}{url}", "allowed_hosts": [host], **more}
        return {
            "slug": slug, "name": name, "description": description, "kind": "http",
            "config": config, "effect_class": effect, "stakes": stakes, "tags": ["demo"],
        }  # fmt: skip

    return [
        http("stock", "Stock", "Pieces of every article and what to reorder.", "/stock"),
        http("order", "Order", "One order with its lines.", "/orders/{number}"),
        http("readings", "Sensor readings", "Hourly temperatures of a sensor.", "/readings"),
        http(
            "quote", "Quote", "Prices a list of articles with freight and tax.", "/quotes",
            method="POST", effect_class="idempotent",
        ),
        http(
            "calibrate", "Calibrate sensors",
            "Fails on purpose before it succeeds: a service that is sometimes busy.", "/flaky",
            method="POST", effect_class="idempotent",
        ),
    ]  # fmt: skip


AGENT: dict[str, Any] = {
    "slug": "clerk",
    "name": "Shop clerk",
    "description": "Drafts short notes to customers on the embedded model. It cannot call tools.",
    "kind": "model",
    "tags": ["demo"],
    "config": {
        "provider": "embedded",
        "model": "smollm2-135m",
        "instructions": "You write short, friendly notes for a mail-order shop. Two sentences.",
        "parameters": {"temperature": 0.2, "max_tokens": 90},
        "limits": {"turns": 2, "seconds": 120},
    },
}

RESTOCK: dict[str, Any] = {
    "slug": "restock-check",
    "name": "Restock check",
    "description": "Reads the stock of the demo shop and prices what must be ordered again.",
    "tags": ["demo"],
    "definition": {
        "input_schema": {
            "type": "object",
            "properties": {
                "country": {"type": "string", "enum": ["NO", "DE", "FR", "FI", "GB"]}
            },
            "required": ["country"],
        },
        "nodes": [
            {"id": "stock", "kind": "tool", "name": "Read the stock", "tool": "stock",
             "retry": {"max_attempts": 3}, "timeout_seconds": 10},
            {"id": "low", "kind": "transform", "name": "Find what runs low",
             "set": {"lines": "${steps.stock.output.stock.filter(s, s.needs_reorder)}"}},
            {"id": "enough", "kind": "decision", "name": "Anything to order?",
             "cases": [{"when": "steps.low.output.lines.size() > 0", "to": "wish"}],
             "default": "fine"},
            {"id": "wish", "kind": "transform", "name": "Make the order list",
             "set": {"lines": "${steps.low.output.lines.map(s, "
                              "{'sku': s.sku, 'quantity': s.reorder_level})}"}},
            {"id": "quote", "kind": "tool", "name": "Get a quote", "tool": "quote",
             "arguments": {"lines": "${steps.wish.output.lines}", "country": "${input.country}"}},
            {"id": "fine", "kind": "transform", "name": "Nothing to do", "set": {"total": "0"}},
        ],
        "edges": [
            {"from": "stock", "to": "low"}, {"from": "low", "to": "enough"},
            {"from": "enough", "to": "wish"}, {"from": "enough", "to": "fine"},
            {"from": "wish", "to": "quote"},
        ],
        "output": {
            "articles": "${steps.low.output.lines.map(s, s.name)}",
            "quote": "${steps.quote.output.quote}",
            "total": "${steps.quote.output.total}",
        },
    },
    "input": {"country": "NO"},
}  # fmt: skip

NOTE: dict[str, Any] = {
    "slug": "shipping-note",
    "name": "Shipping note",
    "description": "Reads an order and lets the embedded model draft a note to the customer.",
    "tags": ["demo"],
    "definition": {
        "input_schema": {
            "type": "object",
            "properties": {"order": {"type": "integer", "minimum": 1001, "maximum": 1028}},
            "required": ["order"],
        },
        "nodes": [
            {"id": "order", "kind": "tool", "name": "Read the order", "tool": "order",
             "arguments": {"number": "${input.order}"}, "retry": {"max_attempts": 3}},
            {"id": "draft", "kind": "agent", "name": "Draft the note", "agent": "clerk",
             "prompt": "Write a note to ${steps.order.output.customer}. Their order of "
                       "${steps.order.output.lines.map(l, l.name)} for "
                       "${steps.order.output.total} euro is ${steps.order.output.status}.",
             "retry": {"max_attempts": 2}, "timeout_seconds": 180},
        ],
        "edges": [{"from": "order", "to": "draft"}],
        "output": {"customer": "${steps.order.output.customer}",
                   "note": "${steps.draft.output.text}"},
    },
    "input": {"order": 1004},
}  # fmt: skip

SENSORS: dict[str, Any] = {
    "slug": "sensor-review",
    "name": "Sensor review",
    "description": "Reads three sensors at once, calibrates them with a service that is busy at "
                   "first, and decides whether somebody must look.",
    "tags": ["demo"],
    "definition": {
        "input_schema": {"type": "object", "additionalProperties": False},
        "nodes": [
            {"id": "north", "kind": "tool", "name": "North hall", "tool": "readings",
             "arguments": {"sensor": "hall-north", "hours": 48}},
            {"id": "south", "kind": "tool", "name": "South hall", "tool": "readings",
             "arguments": {"sensor": "hall-south", "hours": 48}},
            {"id": "cold", "kind": "tool", "name": "Cold store", "tool": "readings",
             "arguments": {"sensor": "cold-store", "hours": 48}},
            {"id": "calibrate", "kind": "tool", "name": "Calibrate", "tool": "calibrate",
             "arguments": {"key": "${run.id}", "failures": 2, "value": 0.4},
             "retry": {"max_attempts": 5, "backoff_seconds": 1, "max_backoff_seconds": 4}},
            {"id": "peaks", "kind": "transform", "name": "Count the peaks", "set": {
                "north": "${steps.north.output.readings.filter(r, r.celsius > 24.0).size()}",
                "south": "${steps.south.output.readings.filter(r, r.celsius > 24.0).size()}",
                "cold": "${steps.cold.output.readings.filter(r, r.celsius > 8.0).size()}",
                "offset": "${steps.calibrate.output.value}"}},
            {"id": "verdict", "kind": "decision", "name": "Must somebody look?",
             "cases": [{"when": "steps.peaks.output.north + steps.peaks.output.south + "
                                "steps.peaks.output.cold > 0", "to": "alarm"}],
             "default": "calm"},
            {"id": "alarm", "kind": "transform", "name": "Somebody must look", "set": {
                "message": "Peaks: north ${steps.peaks.output.north}, "
                           "south ${steps.peaks.output.south}, cold ${steps.peaks.output.cold}."}},
            {"id": "calm", "kind": "transform", "name": "All is calm",
             "set": {"message": "No sensor was above its limit."}},
        ],
        "edges": [
            {"from": "north", "to": "peaks"}, {"from": "south", "to": "peaks"},
            {"from": "cold", "to": "peaks"}, {"from": "calibrate", "to": "peaks"},
            {"from": "peaks", "to": "verdict"},
            {"from": "verdict", "to": "alarm"}, {"from": "verdict", "to": "calm"},
        ],
        "output": {"alarm": "${steps.alarm.output.message}", "calm": "${steps.calm.output.message}",
                   "attempted_calls": "${steps.calibrate.output.call}"},
    },
    "input": {},
}  # fmt: skip

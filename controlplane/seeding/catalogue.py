"""What seeded runs are made of: tools, agents and workflows as data, with their habits.

The workflows are real and can be started. Habits are invented but plausible: `weight` is the share
of runs, `seconds` the median length and `spread` its lognormal sigma, `failing` and `cancelled`
shares of the runs.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Habit:
    """How the runs of a workflow go. Tokens are those of an average run; `cost` is in USD a run,
    None where the model has no price."""

    weight: int
    seconds: float
    spread: float
    failing: float
    cancelled: float
    input: dict[str, Any]
    output: dict[str, Any]
    tags: list[str] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None


def _tool(slug: str, name: str, function: str) -> dict[str, Any]:
    return {
        "slug": slug, "name": name, "kind": "python", "config": {"function": function},
        "effect_class": "read", "stakes": "read", "tags": ["seed"],
        "description": f"The built-in function {function}, under the name of a real service.",
    }  # fmt: skip


TOOLS: list[dict[str, Any]] = [
    _tool("crm", "Customer records", "echo"),
    _tool("ledger", "Ledger", "echo"),
    _tool("warehouse", "Warehouse", "noop"),
    _tool("mailer", "Mailer", "noop"),
    _tool("scraper", "Price scraper", "echo"),
]


def _agent(slug: str, name: str, provider: str, model: str, **more: Any) -> dict[str, Any]:
    config = {
        # A server without a key: nothing is there, so starting one of these fails politely.
        "provider": provider, "model": model, "base_url": "https://models.example.com/v1",
        "instructions": f"You are {name}. Answer briefly and stay with the facts.",
        "limits": {"turns": 8, "tokens": 50_000, "cost": "1.00", "seconds": 300}, **more,
    }  # fmt: skip
    return {"slug": slug, "name": name, "kind": "model", "config": config, "tags": ["seed"]}


AGENTS: list[dict[str, Any]] = [
    _agent("triager", "Ticket triager", "openai", "gpt-5-mini", tools=["crm"]),
    _agent("reviewer", "Invoice reviewer", "anthropic", "claude-haiku-4-5"),
    _agent("writer", "Report writer", "openai", "gpt-5"),
    _agent("scorer", "Lead scorer", "openai", "house-model-7b"),
]
# Their models as calls record them: (provider, model, price status).
MODELS = {
    "triager": ("openai", "gpt-5-mini", "priced"),
    "reviewer": ("anthropic", "claude-haiku-4-5", "priced"),
    "writer": ("openai", "gpt-5", "priced"),
    "scorer": ("openai", "house-model-7b", "unpriced"),
}


def _node(kind: str, name: str, what: str = "", after: str = "") -> dict[str, Any]:
    node: dict[str, Any] = {"kind": kind, "name": name, "after": after}
    if kind == "tool":
        node |= {"tool": what, "arguments": {"about": "${input}"}}
    elif kind == "agent":
        node |= {"agent": what, "prompt": "Look at this: ${input}"}
    else:
        node["set"] = {"done": True}
    return node


def _definition(nodes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A definition of nodes whose `after` names the one before."""
    edges = [{"from": n["after"], "to": key} for key, n in nodes.items() if n["after"]]
    plain = [
        {"id": key, **{k: v for k, v in node.items() if k != "after"}}
        for key, node in nodes.items()
    ]
    return {"input_schema": {"type": "object"}, "nodes": plain, "edges": edges}


def _workflow(slug: str, name: str, nodes: dict[str, dict[str, Any]], habit: Habit) -> Any:
    fields = {"slug": slug, "name": name, "tags": ["seed"], "definition": _definition(nodes)}
    return fields, habit


WORKFLOWS: list[tuple[dict[str, Any], Habit]] = [
    _workflow(
        "order-intake", "Order intake",
        {"customer": _node("tool", "Find the customer", "crm"),
         "reserve": _node("tool", "Reserve the goods", "warehouse", "customer"),
         "confirm": _node("tool", "Confirm by mail", "mailer", "reserve")},
        Habit(28, 2.1, 0.5, 0.02, 0.004, {"order": 1042, "lines": 3}, {"reserved": True},
              ["orders"]),
    ),
    _workflow(
        "support-triage", "Support triage",
        {"ticket": _node("tool", "Read the ticket", "crm"),
         "judge": _node("agent", "Judge its urgency", "triager", "ticket"),
         "file": _node("tool", "File it", "crm", "judge")},
        Habit(22, 6.5, 0.7, 0.05, 0.01, {"ticket": "T-8812"}, {"urgency": "high"},
              ["support", "customer"], 1_900, 260, 0.0010),
    ),
    _workflow(
        "price-watch", "Price watch",
        {"fetch": _node("tool", "Fetch the prices", "scraper"),
         "compare": _node("transform", "Compare them", after="fetch")},
        Habit(18, 1.2, 0.6, 0.09, 0.002, {"shop": "north"}, {"changed": 4}, ["prices"]),
    ),
    _workflow(
        "catalogue-sync", "Catalogue sync",
        {"read": _node("tool", "Read the warehouse", "warehouse"),
         "write": _node("tool", "Write the shop", "crm", "read")},
        Habit(12, 9.0, 0.9, 0.13, 0.02, {"full": False}, {"articles": 311}, ["catalogue"]),
    ),
    _workflow(
        "invoice-check", "Invoice check",
        {"booking": _node("tool", "Find the booking", "ledger"),
         "review": _node("agent", "Review the invoice", "reviewer", "booking"),
         "post": _node("tool", "Post it", "ledger", "review")},
        Habit(8, 11.0, 0.6, 0.04, 0.03, {"invoice": "R-2291"}, {"agrees": True},
              ["finance", "customer"], 4_200, 420, 0.0063),
    ),
    _workflow(
        "contract-summary", "Contract summary",
        {"read": _node("agent", "Read the contract", "writer"),
         "shorten": _node("agent", "Make it short", "writer", "read")},
        Habit(5, 38.0, 0.7, 0.06, 0.05, {"contract": "C-77"}, {"pages": 2}, ["legal"],
              17_000, 2_300, 0.0443),
    ),
    _workflow(
        "lead-scoring", "Lead scoring",
        {"facts": _node("tool", "Gather facts", "crm"),
         "score": _node("agent", "Score the lead", "scorer", "facts")},
        Habit(4, 4.0, 0.5, 0.03, 0.005, {"lead": "L-5"}, {"score": 71}, ["sales"], 900, 40),
    ),
    _workflow(
        "nightly-report", "Nightly report",
        {"figures": _node("tool", "Collect the figures", "ledger"),
         "prose": _node("agent", "Write the report", "writer", "figures"),
         "send": _node("tool", "Send it", "mailer", "prose")},
        Habit(3, 24.0, 0.5, 0.02, 0.01, {"day": "yesterday"}, {"sent": True}, ["finance"],
              8_500, 1_700, 0.0276),
    ),
]  # fmt: skip

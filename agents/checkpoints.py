"""Finished calls of a loop as JSON and back; a resumed loop takes them in place of the calls."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from agents.outcome import ModelReply, ToolReply
from agents.providers.contract import ModelAnswer, ToolCall, Usage
from agents.rates import PricedUsage
from agents.turns import storable
from controlplane.kit.json import money


def of_model(reply: ModelReply, elapsed_ms: float) -> dict[str, Any]:
    """A model call; `elapsed_ms` is the working time of the loop so far."""
    answer = asdict(reply.answer)
    answer["raw"] = dict(reply.answer.raw)
    price = {
        "cost": money(reply.price.cost),
        "currency": reply.price.currency,
        "price_status": reply.price.price_status,
    }
    return storable({"answer": answer, "price": price, "elapsed_ms": round(elapsed_ms, 3)})


def to_model(content: Mapping[str, Any]) -> ModelReply:
    """The model call a checkpoint holds."""
    answer, price = _known(ModelAnswer, content["answer"]), content["price"]
    answer["tool_calls"] = tuple(ToolCall(**_known(ToolCall, c)) for c in answer["tool_calls"])
    answer["usage"] = Usage(**_known(Usage, answer["usage"]))
    cost = None if price["cost"] is None else Decimal(price["cost"])
    return ModelReply(
        ModelAnswer(**answer), PricedUsage(cost, price["currency"], price["price_status"])
    )


def _known(shape: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """What this release knows of a row that another one may have written."""
    return {f.name: content[f.name] for f in fields(shape) if f.name in content}


def of_tool(call: ToolCall, text: str, reply: ToolReply, elapsed_ms: float) -> dict[str, Any]:
    """A tool call, with the text the model is given."""
    return storable(
        {
            "call_id": call.id,
            "name": call.name,
            "text": text,
            "is_error": reply.is_error,
            "code": reply.code,
            "cost": money(reply.cost),
            "elapsed_ms": round(elapsed_ms, 3),
        }
    )


def to_tool(content: Mapping[str, Any]) -> tuple[str, bool, Decimal | None]:
    """(text, is_error, cost) of the tool call a checkpoint holds."""
    cost = content.get("cost")
    return content["text"], content["is_error"], None if cost is None else Decimal(cost)


class Journal:
    """The checkpoints of a loop by ordinal: {ordinal, kind, content} rows, in any order."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = {row["ordinal"]: row for row in rows}

    def find(self, ordinal: int, kind: str) -> Mapping[str, Any] | None:
        """The content kept for a call, or None where it was not finished."""
        row = self._rows.get(ordinal)
        if row is None:
            return None
        if row["kind"] != kind:
            raise ValueError(f"Checkpoint {ordinal} is of a {row['kind']} call, not a {kind} call.")
        return row["content"]

    @property
    def elapsed_ms(self) -> float:
        """The working time before the resumption."""
        return max((row["content"]["elapsed_ms"] for row in self._rows.values()), default=0.0)

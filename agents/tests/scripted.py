"""Ports for loop tests: a model that follows a script, tools that are functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from agents.outcome import ModelReply, ToolReply
from agents.providers.contract import ModelAnswer, ModelRequest, ToolCall, ToolDefinition, Usage
from agents.rates import PricedUsage
from agents.spec import AgentSpec, Limits
from controlplane.kit.gate import ALLOW, Verdict

ID = UUID(int=1)
PRICE = PricedUsage(Decimal("0.01"), "USD", "priced")


def spec(**more: Any) -> AgentSpec:
    """A model agent; `limits` by name."""
    limits = Limits(**more.pop("limits", {}))
    facts = {
        "agent_id": ID,
        "slug": "packer",
        "version_id": ID,
        "number": 1,
        "project_id": ID,
        "kind": "model",
        "provider": "openai",
        "model": "m",
        "limits": limits,
    }
    return AgentSpec(**{**facts, **more})


def answer(text: str = "", *calls: tuple[str, str], finish: str = "", **more: Any) -> ModelAnswer:
    """An answer; calls are (tool, arguments as text)."""
    asked = tuple(ToolCall(f"c{i}", name, args) for i, (name, args) in enumerate(calls))
    raw = {"role": "assistant", "content": text, "calls": [c.id for c in asked]}
    return ModelAnswer(
        text=text,
        tool_calls=asked,
        finish_reason=finish or ("tool_calls" if calls else "stop"),
        usage=Usage(10, 5),
        response_model="m",
        latency_ms=1.0,
        first_token_ms=0.5,
        raw=raw,
        **more,
    )


TOOLS = (ToolDefinition("add"), ToolDefinition("look"))


class Crash(BaseException):
    """The process is gone."""


@dataclass
class ScriptedPorts:
    """Follows a script of answers; `calls` tells what was really called, in order."""

    script: list[ModelAnswer | Exception | Callable[[ModelRequest], ModelAnswer]]
    tools: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    saved: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    requests: list[ModelRequest] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    effects: list[tuple[int, str]] = field(default_factory=list)
    price: PricedUsage = PRICE
    cancel_after: int = 10_000
    crash_after: int = 10_000
    model_verdict: Verdict = ALLOW
    tool_verdicts: dict[str, Verdict] = field(default_factory=dict)
    waits: dict[str, Exception] = field(default_factory=dict)

    async def call_model(self, request: ModelRequest) -> ModelReply:
        """The answer whose turn it is, counted by what the conversation holds."""
        self.calls.append("model")
        self.requests.append(request)
        said = sum(1 for row in self.saved if row["kind"] == "model")
        step = self.script[min(said, len(self.script) - 1)]
        if isinstance(step, Exception):
            raise step
        return ModelReply(step if isinstance(step, ModelAnswer) else step(request), self.price)

    async def call_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> ToolReply:
        """What the function gives; its exceptions are failures of the tool."""
        self.calls.append(f"{slug}:{ordinal}")
        self.effects.append((ordinal, slug))
        try:
            return ToolReply(self.tools.get(slug, lambda a: a)(arguments))
        except ValueError as exc:
            return ToolReply(str(exc), is_error=True, code="tool_failed")

    async def save_checkpoint(self, ordinal: int, kind: str, content: dict[str, Any]) -> None:
        """Keep it, or crash instead."""
        if len(self.saved) >= self.crash_after:
            raise Crash
        self.saved.append({"ordinal": ordinal, "kind": kind, "content": content})

    async def check_model(self, request: ModelRequest) -> Verdict:
        """The one verdict on models."""
        return self.model_verdict

    async def check_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> Verdict:
        """The verdict on a tool, or the engine's own way to make the step wait."""
        if slug in self.waits:
            raise self.waits[slug]
        return self.tool_verdicts.get(slug, ALLOW)

    def is_cancelled(self) -> bool:
        """Cancelled after so many calls."""
        return len(self.calls) >= self.cancel_after

    def log(self, level: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Keep the line."""
        self.lines.append(f"{level}: {message}")

    def on_delta(self, text: str) -> None:
        """Nobody watches."""

"""Agents that are asked by a step or by another agent: the same durable loop, one level deeper.

What a step keeps is numbered: its own calls from 0, and those of each asked agent in a block of
their own, which is written down before the agent begins, so that it finds its work after a crash.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from agents.loop import run_agent
from agents.providers.contract import ProviderError, ToolDefinition
from agents.spec import AgentSpec
from runs.reading import agent_of, callable_of, model_key
from runs.steps import kind_module
from runs.work import StepWork
from tools.calls import Result, ToolCallable, ToolError

# How many agents may stand in a line, the first one included.
MOST_DEPTH = 5
BLOCK = 1_000
FIRST = 1_000_000
KIND = "nested"


def own(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a step's checkpoints those of its own agent."""
    return [point for point in kept if point["ordinal"] < FIRST]


class Nesting:
    """The agents that one step asks. `kept` are the step's checkpoints; None where they are still
    to be read."""

    def __init__(self, step: StepWork, kept: list[dict[str, Any]] | None = None) -> None:
        self.step = step
        self.kept = kept
        self.blocks: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._note()

    def _note(self) -> None:
        for point in self.kept or ():
            if point["kind"] == KIND:
                self.blocks[point["content"]["call"]] = point["ordinal"]

    async def ask(self, slug: str, prompt: str, *, ordinal: int, line: tuple[str, ...]) -> Result:
        """The answer of an agent to the call `ordinal` of the step, asked by the last of `line`.
        ToolError says why there is none; what it used counts for the step."""
        if slug in line:
            chain = " → ".join((*line, slug))
            raise ToolError(f"Agents ask each other in a circle: {chain}.", code="agent_cycle")
        if len(line) >= MOST_DEPTH:
            raise ToolError(
                f"More than {MOST_DEPTH} agents ask each other in a line.", code="agent_depth"
            )
        spec, tools = await asyncio.to_thread(self._agent, slug)
        first = await self._block(ordinal)
        points = [
            {**point, "ordinal": point["ordinal"] - first - 1}
            for point in self.kept or ()
            if first < point["ordinal"] < first + BLOCK
        ]
        made = sum(point["kind"] == "model" for point in points)
        ports = kind_module("agent").Ports(
            self.step, spec, tools, made, nesting=self, first=first + 1, line=(*line, slug)
        )
        key, hosts = None, None
        if spec.secret:
            key, hosts = await asyncio.to_thread(model_key, spec)
        try:
            outcome = await run_agent(
                spec,
                prompt,
                ports=ports,
                tools=offered(self.step, tools),
                checkpoints=points,
                api_key=key,
                allowed_hosts=hosts,
            )
        except ProviderError as exc:
            raise ToolError(exc.message, code=exc.code, retryable=exc.retryable) from exc
        if not outcome.is_success:
            self.step.check_cancelled()
            raise ToolError(f"{slug}: {outcome.message}", code=outcome.code, fate="answered")
        asked = {"agent": slug, "version": spec.number, "prompt": prompt}
        return Result(outcome.output, request=asked, cost=outcome.totals.cost)

    def _agent(self, slug: str) -> tuple[AgentSpec, dict[str, ToolCallable]]:
        pins = self.step.run.pins
        pinned = pins["agents"].get(slug)
        if pinned is None:
            raise ToolError(f"This run has no agent {slug}.", code="agent_missing")
        spec = agent_of(pinned["version"])
        if missing := [tool for tool in spec.tools if tool not in pins["tools"]]:
            raise ToolError(f"This run has no tool {missing[0]}.", code="tool_missing")
        return spec, {tool: callable_of(pins["tools"][tool]["version"]) for tool in spec.tools}

    async def _block(self, ordinal: int) -> int:
        """The first number of what the agent asked by a call keeps."""
        store, call = self.step.worker.store, str(ordinal)
        async with self._lock:
            if self.kept is None:
                self.kept = await asyncio.to_thread(store.checkpoints, self.step)
                self._note()
            if call not in self.blocks:
                first = FIRST + BLOCK * len(self.blocks)
                content = {"call": call}
                await asyncio.to_thread(store.save_checkpoint, self.step, first, KIND, content)
                self.blocks[call] = first
            return self.blocks[call]


def offered(step: StepWork, tools: Mapping[str, ToolCallable]) -> list[ToolDefinition]:
    """The tools as a model is told of them. One in quarantine is left out: nobody has looked at its
    new words yet, and a model would read them."""
    found = []
    for tool in tools.values():
        if tool.refusal_code == "tool_quarantined":
            step.log("warning", f"{tool.slug} is in quarantine and is not offered to the model.")
            continue
        words = tool.description or tool.name
        found.append(ToolDefinition(tool.slug, words, dict(tool.input_schema)))
    return found

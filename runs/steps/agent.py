"""agent: the durable agent loop. Each model call and each tool call is one checkpoint."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from agents.calls import call_model
from agents.loop import run_agent
from agents.outcome import LoopPorts, ModelReply, ToolReply
from agents.providers.contract import ModelRequest, ProviderError
from agents.spec import AgentSpec
from controlplane.kit import gate
from controlplane.kit.json import dumps, money
from runs import remote, whispers
from runs.calls import ToolStep, call_context, call_record
from runs.nesting import BLOCK, Nesting, offered, own
from runs.reading import agent_of, callable_of, model_key, prices_of, secrets_of
from runs.steps.tool import declare, end_badly
from runs.work import Done, StepFailed, StepWork
from tools import limits
from tools.calling import call_tool, call_tool_blocking
from tools.calls import ToolCallable, ToolError


def is_instant(step: StepWork) -> bool:
    """Models take their time. Agent and tools are read here, off the event loop."""
    spec = agent_of(step.run.pins["agents"][step.node.fields["agent"]]["version"])
    if spec.kind == "worker":
        # Its steps wait in the queue of its deployment, unless that was retired meanwhile.
        raise StepFailed(
            f"{spec.slug} is worked on by workers of the operator, and is not deployed any more.",
            code="agent_not_deployed",
            is_retryable=False,
        )
    if spec.kind == "remote":
        step.subject = spec, {}
        return False
    if schema := step.node.fields.get("output_schema"):
        spec = replace(spec, output_schema=schema)
    step.subject = spec, {slug: _tool(step, slug) for slug in spec.tools}
    return False


async def work_async(step: StepWork) -> Done:
    """{text, data, turns}. Calls kept by an earlier attempt are not made again."""
    spec, tools = step.subject
    if spec.kind == "remote":
        return await remote.work(step, spec)
    prompt = step.render("prompt")
    if not isinstance(prompt, str):
        prompt = "" if prompt is None else dumps(prompt).decode()
    step.input = {"prompt": prompt, "agent": spec.slug, "version": spec.number}
    key, hosts = None, None
    if spec.secret:
        key, hosts = await asyncio.to_thread(model_key, spec)
    # Asked at every start: a step that was given back, or waited for a person, is no new attempt.
    kept = await asyncio.to_thread(step.worker.store.checkpoints, step)
    nesting, kept = Nesting(step, kept), own(kept)
    made = sum(point["kind"] == "model" for point in kept)
    ports = Ports(step, spec, tools, made, nesting=nesting, line=(spec.slug,))
    try:
        outcome = await run_agent(
            spec,
            prompt,
            ports=ports,
            tools=offered(step, tools),
            checkpoints=kept,
            api_key=key,
            allowed_hosts=hosts,
        )
    except ProviderError as exc:
        raise StepFailed(
            exc.message,
            code=exc.code,
            is_retryable=exc.retryable,
            retry_after_seconds=exc.retry_after,
        ) from exc
    if not outcome.is_success:
        step.check_cancelled()
        raise StepFailed(
            outcome.message,
            code=outcome.code,
            is_retryable=False,
            details={**outcome.details, "output": outcome.output},
        )
    done = step.spent
    done.output, done.input = outcome.output, step.input
    return done


def _tool(step: StepWork, slug: str) -> ToolCallable:
    pinned = step.run.pins["tools"].get(slug)
    if pinned is None:
        raise StepFailed(
            f"The agent's tool {slug} is not pinned by this run.",
            code="tool_missing",
            is_retryable=False,
        )
    return callable_of(pinned["version"])


class Ports(LoopPorts):
    """The loop's surroundings in a step of a run. `made` counts the model calls before a crash;
    `first` is the number its calls begin with, `line` the agents that ask each other, itself
    last."""

    def __init__(
        self,
        step: StepWork,
        spec: AgentSpec,
        tools: Mapping[str, ToolCallable],
        made: int,
        *,
        nesting: Nesting,
        first: int = 0,
        line: tuple[str, ...] = (),
    ) -> None:
        self.step = step
        self.spec = spec
        self.tools = tools
        self.turn = made
        self.nesting = nesting
        self.first = first
        self.line = line

    async def call_model(self, request: ModelRequest) -> ModelReply:
        """Call the model; every call leaves a row, also one that failed."""
        self.turn += 1
        whispers.begin(self.step.id)
        prices = await asyncio.to_thread(prices_of, self.spec.project_id)
        reply = await call_model(self.spec.provider, request, prices=prices, record=self._record)
        used, answer = self.step.spent, reply.answer
        used.input_tokens += answer.usage.input_tokens
        used.output_tokens += answer.usage.output_tokens
        if reply.price.cost is None:
            used.unpriced_calls += 1
        else:
            used.cost = (used.cost or 0) + reply.price.cost
        return reply

    def _record(self, columns: dict[str, Any]) -> None:
        step, spec = self.step, self.spec
        row = {
            "id": columns["id"],
            "project": step.run.project_id,
            "agent": spec.agent_id,
            "version": spec.version_id,
            "run": step.run.id,
            "step": step.id,
            "workflow": step.run.workflow_id,
            "environment": step.run.environment_id,
            "turn": self.turn,
            "provider": spec.provider,
            "model": columns["model"],
            "response_model": columns["response_model"],
            "state": columns["state"],
            "error": columns["error_code"],
            "finish": columns["finish_reason"],
            "it": columns["input_tokens"],
            "ot": columns["output_tokens"],
            "cr": columns["cache_read_tokens"],
            "cw": columns["cache_write_tokens"],
            "rt": columns["reasoning_tokens"],
            "ms": columns["latency_ms"],
            "first_ms": columns["first_token_ms"],
            "cost": columns["cost"],
            "currency": columns["currency"],
            "price_status": columns["price_status"],
        }
        event = {
            "model": row["model"],
            "status": row["state"],
            "turn": self.turn,
            "latency_ms": row["ms"],
            "input_tokens": row["it"],
            "output_tokens": row["ot"],
            "cost": money(row["cost"]),
            "price_status": row["price_status"],
        }
        step.spent.calls.append({"kind": "model", "row": row, "event": event})

    async def call_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> ToolReply:
        """Call a tool under its own effect; a failure is told to the model."""
        step, tool, ordinal = self.step, self.tools[slug], self.first + ordinal
        context = call_context(step, tool, ordinal)
        call = ToolStep(step, tool, arguments, context, ordinal, self.spec.agent_id)
        call.context.call_agent = partial(self.nesting.ask, ordinal=ordinal, line=self.line)
        if tool.secret_names:
            call.context.secrets = await asyncio.to_thread(secrets_of, tool, step.run.project_id)
        try:
            kept = await self._cleared(call)
            if kept is not None:
                return ToolReply(kept.output)
            result = await self._made(call)
        except ToolError as exc:
            failure = await asyncio.to_thread(end_badly, call, exc)
            if not isinstance(failure, StepFailed):
                raise failure from exc
            content = {"error": failure.message, "code": failure.code}
            return ToolReply(content, is_error=True, code=failure.code)
        if call.is_declared:
            await asyncio.to_thread(step.worker.store.fulfil, step, ordinal, result.output)
        step.spent.calls.append(call_record(call, "succeeded", result.latency_ms, ""))
        return ToolReply(result.output, cost=result.cost)

    async def _cleared(self, call: ToolStep) -> Done | None:
        """Wait for the call's place in time and declare it; its result where it was made before."""
        while True:
            place = None
            if call.is_limited:
                seconds = call.tool.timeout_seconds
                place = await limits.wait(call.tool, within_seconds=seconds)
            if call.is_declared:
                self.step.open_effects[call.ordinal] = call.effect_class
                if (kept := await asyncio.to_thread(declare, call)) is not None:
                    return kept
            if place is None or not place.is_lost:
                return None
            if call.is_declared:
                await asyncio.to_thread(self.step.worker.store.withdraw, self.step, call.ordinal)

    async def _made(self, call: ToolStep) -> Any:
        if call.tool.pool == "io":
            return await call_tool(call.tool, call.arguments, context=call.context)
        return await asyncio.to_thread(
            lambda: call_tool_blocking(call.tool, call.arguments, context=call.context)
        )

    async def save_checkpoint(self, ordinal: int, kind: str, content: dict[str, Any]) -> None:
        """Keep it under the lease."""
        step, number = self.step, self.first + ordinal
        if self.first and ordinal >= BLOCK - 1:
            message = f"{self.spec.slug} made more calls than an asked agent may."
            raise StepFailed(message, code="limit_turns", is_retryable=False)
        await asyncio.to_thread(step.worker.store.save_checkpoint, step, number, kind, content)

    async def check_model(self, request: ModelRequest) -> gate.Verdict:
        """The policy's word on a model call."""
        return gate.check(
            "model.call",
            {**self._about(), "provider": self.spec.provider, "model": request.model},
        )

    async def check_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> gate.Verdict:
        """The policy's word on a tool call of the model."""
        tool = self.tools[slug].facts()
        return gate.check("tool.call", {**self._about(), "tool": tool, "arguments": arguments})

    def _about(self) -> dict[str, Any]:
        run = self.step.run
        return {
            "project_id": run.project_id,
            "environment": run.environment,
            "workflow": run.workflow,
            "run_id": run.id,
            "step_id": self.step.id,
            "agent": self.spec.slug,
        }

    def is_cancelled(self) -> bool:
        """Whether the run is being cancelled."""
        return self.step.stop.is_set()

    def log(self, level: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """One line of the run's log."""
        self.step.log(level, message, data)

    def on_delta(self, text: str) -> None:
        """Pieces of text are told to who looks on; what is kept is the answer."""
        whispers.say(self.step.run.id, self.step.id, self.turn, text)

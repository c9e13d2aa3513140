"""The agent loop: model, tools, model, until there is an answer or a limit. No ORM, no vendor."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents import checkpoints as kept
from agents import turns
from agents.limits import Meter, Stop
from agents.outcome import AgentOutcome, LoopPorts, ModelReply, ToolReply, Totals
from agents.providers.contract import (
    ModelAnswer,
    ModelRequest,
    ProviderError,
    ToolCall,
    ToolDefinition,
)
from agents.spec import AgentSpec


async def run_agent(
    spec: AgentSpec,
    prompt: str,
    *,
    ports: LoopPorts,
    tools: Sequence[ToolDefinition] = (),
    checkpoints: Iterable[Mapping[str, Any]] = (),
    api_key: str | None = None,
    allowed_hosts: Sequence[str] | None = None,
    totals: Totals | None = None,
) -> AgentOutcome:
    """Let an agent work on a prompt to its end.

    `tools` define what the model may call. `checkpoints` are those saved before a crash: their
    calls are taken as made. `api_key` and `allowed_hosts` are those of the spec's secret. `totals`
    is counted in as the work goes, for callers who want them even where the loop raises. Limits,
    refusals and unusable answers end in an outcome with a code; ProviderError and whatever a port
    raises pass through, and a later call with the checkpoints goes on from there.
    """
    journal = kept.Journal(checkpoints)
    meter = Meter(spec.limits, totals or Totals(), journal.elapsed_ms, time.monotonic)
    return await _Loop(spec, ports, tools, journal, meter, api_key, allowed_hosts).run(prompt)


class _Loop:
    """One task of an agent. Ordinals: each turn takes one for its model call and one for each call
    the model asks for, in the model's order, so that they are the same again after a crash."""

    def __init__(
        self,
        spec: AgentSpec,
        ports: LoopPorts,
        tools: Sequence[ToolDefinition],
        journal: kept.Journal,
        meter: Meter,
        api_key: str | None,
        allowed_hosts: Sequence[str] | None,
    ) -> None:
        self.spec = spec
        self.ports = ports
        self.tools = {tool.name: tool for tool in tools}
        self.journal = journal
        self.api_key = api_key
        self.allowed_hosts = allowed_hosts
        self.meter = meter
        self.messages: list[turns.Message] = []
        self.ordinal = 0
        self.text = ""
        self.may_repair = True

    async def run(self, prompt: str) -> AgentOutcome:
        """The whole conversation."""
        self.messages.append(turns.user(turns.storable(prompt)))
        data: Any = None
        stop = Stop()
        try:
            while True:
                answer = await self._ask()
                if answer.finish_reason == "refusal":
                    said = answer.refusal or answer.text or "without words"
                    raise Stop("model_refused", f"The model refused: {said[:500]}")
                if answer.tool_calls:
                    await self._call_tools(answer.tool_calls)
                    continue
                is_final, data = self._judge(answer)
                if is_final:
                    break
        except Stop as exc:
            stop = exc
        output = {"text": self.text, "data": data, "turns": self.meter.totals.model_calls}
        return AgentOutcome(
            output=output,
            totals=self.meter.totals,
            elapsed_ms=self.meter.elapsed_ms,
            code=stop.code,
            message=stop.message,
            details=stop.details,
        )

    async def _ask(self) -> ModelAnswer:
        """The next answer of the model: out of its checkpoint, or by a call."""
        ordinal, self.ordinal = self.ordinal, self.ordinal + 1
        content = self.journal.find(ordinal, "model")
        if content is not None:
            reply = kept.to_model(content)
        else:
            reply = await self._call_model()
            saved = kept.of_model(reply, self.meter.elapsed_ms)
            await self.ports.save_checkpoint(ordinal, "model", saved)
            # What is sent on is what was kept, so that a resumed loop says the same.
            reply = kept.to_model(saved)
        self.meter.totals.add_model(reply.answer.usage, reply.price)
        self.text = reply.answer.text or self.text
        self.messages.append(turns.assistant(reply.answer))
        return reply.answer

    async def _call_model(self) -> ModelReply:
        self._check_cancelled()
        self.meter.check()
        if self.meter.went_blind():
            self.ports.log("warning", "The model has no price, so the cost limit cannot hold.")
        request = self._request()
        verdict = await self.ports.check_model(request)
        if not verdict.is_allowed:
            raise Stop(
                verdict.code or "policy_denied",
                verdict.reason or "The model may not be called.",
                policies=list(verdict.policies),
            )
        try:
            return await self.ports.call_model(request)
        except ProviderError as exc:
            if exc.code == "timeout" and self.meter.is_late:
                raise self.meter.late() from exc
            raise

    def _request(self) -> ModelRequest:
        spec = self.spec
        return ModelRequest(
            model=spec.model,
            messages=tuple(self.messages),
            base_url=spec.base_url,
            api_key=self.api_key,
            allowed_hosts=self.allowed_hosts,
            instructions=spec.instructions,
            tools=tuple(self.tools.values()),
            parameters=spec.parameters,
            output_schema=spec.output_schema,
            max_tokens=self.meter.max_tokens(spec.max_tokens),
            timeout=self.meter.timeout(spec.timeout_seconds),
            on_delta=self.ports.on_delta,
        )

    async def _call_tools(self, calls: Sequence[ToolCall]) -> None:
        """The calls of one turn, side by side. Those that end are kept even where another makes
        the loop stop, so that nothing is called twice."""
        first, self.ordinal = self.ordinal, self.ordinal + len(calls)
        results = await asyncio.gather(
            *(self._call_tool(call, first + i) for i, call in enumerate(calls)),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
            self.messages.append(result)

    async def _call_tool(self, call: ToolCall, ordinal: int) -> turns.Message:
        content = self.journal.find(ordinal, "tool")
        if content is not None:
            text, is_error, cost = kept.to_tool(content)
            self.meter.totals.add_tool(cost)
            return turns.tool_result(call, text, is_error=is_error)
        if call.name not in self.tools:
            return self._not_called(call, turns.unknown_tool(call.name, self.tools))
        arguments, fault = turns.arguments_of(call)
        if arguments is None:
            return self._not_called(call, fault)
        self._check_cancelled()
        verdict = await self.ports.check_tool(call.name, arguments, call.id, ordinal=ordinal)
        if verdict.is_allowed:
            self._check_cancelled()
            reply = await self.ports.call_tool(call.name, arguments, call.id, ordinal=ordinal)
        else:
            # Kept like a call: the model's next words rest on it, whatever policy says by then.
            reason = verdict.reason or "A policy forbids it."
            self.ports.log("warning", f"Tool {call.name} was not called: {reason}")
            reply = ToolReply(f"Not called: {reason}", is_error=True, code=verdict.code)
        text = turns.as_text(reply.content)
        saved = kept.of_tool(call, text, reply, self.meter.elapsed_ms)
        await self.ports.save_checkpoint(ordinal, "tool", saved)
        self.meter.totals.add_tool(reply.cost)
        return turns.tool_result(call, text, is_error=reply.is_error)

    def _not_called(self, call: ToolCall, why: str) -> turns.Message:
        self.ports.log("warning", f"Tool {call.name[:80]}: {why}")
        return turns.tool_result(call, why, is_error=True)

    def _check_cancelled(self) -> None:
        if self.ports.is_cancelled():
            raise Stop("cancelled", "The task was cancelled.")

    def _judge(self, answer: ModelAnswer) -> tuple[bool, Any]:
        """(whether the answer stands, its data). One that does not is sent back once."""
        if not answer.text.strip():
            if answer.finish_reason == "length":
                raise Stop("answer_cut", "The answer's token limit was reached before any words.")
            self._repair("answer_empty", "The model answered nothing, twice.", turns.EMPTY)
            # An empty message is refused when it is sent back.
            del self.messages[-2]
            return False, None
        if self.spec.output_schema is None:
            if answer.finish_reason == "length":
                self.ports.log("warning", "The answer was cut at its token limit.")
            return True, None
        data, faults = turns.structured(answer.text, self.spec.output_schema)
        if not faults:
            return True, data
        found = "; ".join(f"{f.field or 'answer'}: {f.message}" for f in faults[:3])
        code = "answer_cut" if answer.finish_reason == "length" else "answer_invalid"
        self._repair(
            code,
            f"The answer does not fit the schema, twice: {found}",
            turns.repair(faults),
            faults=[fault.as_dict() for fault in faults],
        )
        return False, None

    def _repair(self, code: str, message: str, words: str, **details: Any) -> None:
        if not self.may_repair:
            raise Stop(code, message, **details)
        self.may_repair = False
        self.ports.log("warning", "The answer cannot be used; the model is asked once more.")
        self.messages.append(turns.user(words))

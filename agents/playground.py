"""Talking to a version of a model agent outside of any run: what it says, turn by turn, with its
tokens, time and cost. Policies apply and every model call is recorded. Tools that only read are
called for real; others answer with a value made from their output schema."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection

from agents.calls import Record, call_model
from agents.connection import model_key
from agents.loop import run_agent
from agents.models import Agent, AgentVersion, ModelCall
from agents.outcome import AgentOutcome, ModelReply, ToolReply
from agents.pricing import PriceList, price_list
from agents.providers.contract import ModelRequest, ProviderError, ToolDefinition
from agents.spec import AgentSpec, connected, make_spec
from controlplane.kit import audit, gate
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.json import dumps, money
from controlplane.kit.loop import background_loop
from projects import vault
from projects.people import User
from tools.callables import callable_of, resolve_secrets
from tools.calling import call_tool, call_tool_blocking
from tools.calls import CallContext, SecretValue, ToolCallable, ToolError
from tools.models import Tool

# A person waits for it, and so does a thread of the web process.
LONGEST_SECONDS = 60.0
LONGEST_MESSAGE = 20_000
MOST_TURNS_TOLD = 20


@dataclass
class Ports:
    """The loop's surroundings: nothing is kept but what it used."""

    spec: AgentSpec
    prices: PriceList
    tools: Mapping[str, ToolCallable]
    secrets: Mapping[str, Mapping[str, SecretValue]]
    actor: User
    turns: list[dict[str, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    async def call_model(self, request: ModelRequest) -> ModelReply:
        """Call the model, for real."""
        reply = await call_model(
            self.spec.provider, request, prices=self.prices, record=self.records.append
        )
        answer, price = reply.answer, reply.price
        self.turns.append(
            {
                "kind": "model",
                "name": answer.response_model or request.model,
                "text": answer.text,
                "arguments": None,
                "is_simulated": False,
                "error": "",
                "latency_ms": round(answer.latency_ms, 3),
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
                "cost": money(price.cost),
                "price_status": price.price_status,
            }
        )
        return reply

    async def call_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> ToolReply:
        """Call a tool that only reads; make an answer up for others. Failures are told to the
        model."""
        tool = self.tools[slug]
        is_simulated = tool.effect_class != "read" or tool.kind == "agent"
        context = CallContext(secrets=self.secrets.get(slug, {}), simulate=is_simulated)
        told: dict[str, Any] = {"kind": "tool", "name": slug, "arguments": arguments}
        told |= {"is_simulated": is_simulated, "error": "", "cost": None, "price_status": None}
        told |= {"input_tokens": 0, "output_tokens": 0, "latency_ms": None, "text": ""}
        self.turns.append(told)
        try:
            if tool.pool == "io" or is_simulated:
                result = await call_tool(tool, arguments, context=context)
            else:
                result = await asyncio.to_thread(
                    call_tool_blocking, tool, arguments, context=context
                )
        except ToolError as exc:
            told["error"] = exc.message
            return ToolReply({"error": exc.message, "code": exc.code}, is_error=True, code=exc.code)
        told["text"], told["latency_ms"] = dumps(result.output).decode(), result.latency_ms
        return ToolReply(result.output)

    async def save_checkpoint(self, ordinal: int, kind: str, content: dict[str, Any]) -> None:
        """Nothing is gone on with."""

    async def check_model(self, request: ModelRequest) -> gate.Verdict:
        """The policy's word."""
        about = {**self._about(), "provider": self.spec.provider, "model": request.model}
        return gate.check("model.call", about)

    async def check_tool(
        self, slug: str, arguments: dict[str, Any], call_id: str, *, ordinal: int
    ) -> gate.Verdict:
        """The policy's word."""
        about = {**self._about(), "tool": self.tools[slug].facts(), "arguments": arguments}
        return gate.check("tool.call", about)

    def _about(self) -> dict[str, Any]:
        agent = {"id": self.spec.agent_id, "slug": self.spec.slug, "version": self.spec.number}
        return {
            "project_id": self.spec.project_id,
            "actor": self.actor,
            "agent": agent,
            "trigger": "playground",
        }

    def is_cancelled(self) -> bool:
        """Nobody cancels; time does."""
        return False

    def log(self, level: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """There is no run whose log it could be."""

    def on_delta(self, text: str) -> None:
        """The whole answer is shown at once."""


def play(
    agent: Agent,
    message: str,
    *,
    version: int | None = None,
    history: Sequence[Mapping[str, str]] = (),
    actor: User,
) -> dict[str, Any]:
    """Ask a version (the current one): {ok, version, text, data, turns, totals, error}. `history`
    are earlier lines, {role: user|agent, text}. 409 `wrong_kind` where the agent has no model, 422
    where there is no such version."""
    spec = _spec(agent, version)
    tools = _tools(spec)
    key, hosts = model_key(spec)
    secrets = {slug: resolve_secrets(tool, spec.project_id) for slug, tool in tools.items()}
    ports = Ports(spec, price_list(spec.project_id), tools, secrets, actor)
    if not connection.in_atomic_block:
        # No connection is held while the model works.
        connection.close()
    outcome, error = _asked(spec, _prompt(message, history), ports, key, hosts)
    for record in ports.records:
        ModelCall.objects.create(
            project_id=agent.project_id, agent=agent, agent_version_id=spec.version_id, **record
        )
    audit.record(
        "agent.played",
        actor=actor,
        project_id=agent.project_id,
        target=agent,
        after={"version": spec.number, "model_calls": len(ports.records)},
    )
    return _answer(spec, outcome, ports, error)


def _asked(
    spec: AgentSpec, prompt: str, ports: Ports, key: str | None, hosts: Any
) -> tuple[AgentOutcome | None, dict[str, Any] | None]:
    offered = [
        ToolDefinition(tool.slug, tool.description or tool.name, dict(tool.input_schema))
        for tool in ports.tools.values()
    ]
    work = run_agent(
        spec, prompt, ports=ports, tools=offered, api_key=key, allowed_hosts=hosts
    )  # fmt: skip
    try:
        return asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(work, LONGEST_SECONDS), background_loop()
        ).result(), None
    except ProviderError as exc:
        return None, {"code": exc.code, "message": exc.message}
    except (vault.SecretRefused, DomainError) as exc:
        return None, {"code": exc.code, "message": exc.message}
    except TimeoutError:
        message = f"It took longer than {LONGEST_SECONDS:.0f} s; in runs it may take its time."
        return None, {"code": "timeout", "message": message}


def _spec(agent: Agent, number: int | None) -> AgentSpec:
    if agent.kind != "model":
        message = f"{agent.name} is a {agent.kind} agent; only model agents can be talked to here."
        raise DomainError(message, code="wrong_kind")
    rows = AgentVersion.objects.select_related("agent").filter(agent=agent)
    found = rows.filter(pk=agent.current_id) if number is None else rows.filter(number=number)
    version = found.first()
    if version is None:
        message = f"{agent.name} has no version {number}."
        raise InvalidInput.of("version", message, "does_not_exist")
    spec = connected(make_spec(version))
    seconds = min(spec.limits.seconds or LONGEST_SECONDS, LONGEST_SECONDS)
    return replace(spec, limits=replace(spec.limits, seconds=seconds))


def _tools(spec: AgentSpec) -> dict[str, ToolCallable]:
    rows = Tool.objects.alive().filter(project_id=spec.project_id, slug__in=spec.tools)
    found = {}
    for tool in rows.select_related("current"):
        if tool.current is not None:
            tool.current.tool = tool
            found[tool.slug] = callable_of(tool.current)
    return found


def _prompt(message: str, history: Sequence[Mapping[str, str]]) -> str:
    if not history:
        return message
    lines = [f"{line['role']}: {line['text']}" for line in history[-MOST_TURNS_TOLD:]]
    return "Our conversation so far:\n" + "\n".join(lines) + f"\n\nuser: {message}"


def _answer(
    spec: AgentSpec, outcome: AgentOutcome | None, ports: Ports, error: dict[str, Any] | None
) -> dict[str, Any]:
    if outcome is not None and not outcome.is_success:
        error = {"code": outcome.code, "message": outcome.message}
    totals = outcome.totals if outcome else None
    return {
        "ok": error is None,
        "version": spec.number,
        "text": outcome.output.get("text", "") if outcome else "",
        "data": outcome.output.get("data") if outcome else None,
        "turns": ports.turns,
        "input_tokens": totals.input_tokens if totals else 0,
        "output_tokens": totals.output_tokens if totals else 0,
        "cost": money(totals.cost) if totals else None,
        "unpriced_calls": totals.unpriced_calls if totals else 0,
        "elapsed_ms": round(outcome.elapsed_ms, 3) if outcome else None,
        "error": error,
    }

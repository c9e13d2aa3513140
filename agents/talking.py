"""Agents at work outside of any run, in a playground or a test console: what they may reach is read
before they begin, so that no connection is held while they work. Policies apply, places in time are
waited for, every model call is recorded. Tools that only read and agents that are tools work for
real; others answer with a value made from their output schema."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from agents.calls import Record, call_model
from agents.connection import model_key
from agents.loop import run_agent
from agents.models import Agent, ModelCall
from agents.outcome import AgentOutcome, ModelReply, ToolReply
from agents.pricing import PriceList, price_list
from agents.providers.contract import ModelRequest, ProviderError, ToolDefinition
from agents.spec import AgentSpec, connected, make_spec
from controlplane.kit import gate
from controlplane.kit.errors import DomainError
from controlplane.kit.json import dumps, money
from projects import vault
from projects.people import User
from tools import limits
from tools.callables import callable_of, resolve_secrets
from tools.calling import call_tool, call_tool_blocking
from tools.calls import CallContext, Result, SecretValue, ToolCallable, ToolError
from tools.models import Tool

# How many agents may stand in a line, the first one included; as in runs.
MOST_DEPTH = 5
# A person waits for it, and so does a thread of the web process.
LONGEST_SECONDS = 60.0


@dataclass
class Player:
    """An agent with everything it needs to work. `fault` says why it cannot."""

    spec: AgentSpec
    tools: Mapping[str, ToolCallable] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, SecretValue]] = field(default_factory=dict)
    key: str | None = None
    hosts: list[str] | None = None
    fault: DomainError | None = None

    def offered(self) -> list[ToolDefinition]:
        """The tools as the model is told of them; one in quarantine is left out, for nobody has
        looked at its new words yet."""
        return [
            ToolDefinition(tool.slug, tool.description or tool.name, dict(tool.input_schema))
            for tool in self.tools.values()
            if tool.refusal_code != "tool_quarantined"
        ]


class Talk:
    """One piece of work: who takes part, and what was called. Made and kept by a thread that has a
    database; `work` needs none."""

    def __init__(self, spec: AgentSpec, actor: User, trigger: str) -> None:
        self.actor, self.trigger = actor, trigger
        self.prices: PriceList = price_list(spec.project_id)
        self.players = {spec.slug: _player(bounded(spec))}
        self._reach(spec.slug)
        self.turns: list[dict[str, Any]] = []
        self.records: list[tuple[AgentSpec, Record]] = []

    def _reach(self, first: str) -> None:
        """Every agent that may be asked, however deep."""
        ends, seen = [first], {first}
        while ends:
            for tool in self.players[ends.pop()].tools.values():
                slug = tool.config["agent"] if tool.kind == "agent" else None
                if slug is not None and slug not in seen:
                    seen.add(slug)
                    spec = spec_of_slug(tool.project_id, slug)
                    if spec is not None:
                        self.players[slug] = _player(bounded(spec))
                        ends.append(slug)

    async def work(self, slug: str, prompt: str, line: tuple[str, ...] = ()) -> AgentOutcome:
        """What an agent makes of a prompt, asked by the last of `line`. ProviderError and
        DomainError where it cannot begin or go on."""
        player = self.players.get(slug)
        if player is None:
            message = f"This project has no agent {slug} that can be asked."
            raise ToolError(message, code="agent_missing")
        if player.fault is not None:
            raise player.fault
        return await run_agent(
            player.spec,
            prompt,
            ports=Ports(self, player, (*line, slug)),
            tools=player.offered(),
            api_key=player.key,
            allowed_hosts=player.hosts,
        )

    async def ask(self, slug: str, prompt: str, line: tuple[str, ...] = ()) -> Result:
        """`work` as the answer of a tool; ToolError says why there is none."""
        if slug in line:
            chain = " → ".join((*line, slug))
            raise ToolError(f"Agents ask each other in a circle: {chain}.", code="agent_cycle")
        if len(line) >= MOST_DEPTH:
            message = f"More than {MOST_DEPTH} agents ask each other in a line."
            raise ToolError(message, code="agent_depth")
        try:
            outcome = await self.work(slug, prompt, line)
        except ProviderError as exc:
            raise ToolError(exc.message, code=exc.code, retryable=exc.retryable) from exc
        except ToolError:
            raise
        except DomainError as exc:
            raise ToolError(exc.message, code=exc.code) from exc
        spec = self.players[slug].spec
        asked = {"agent": slug, "version": spec.number, "prompt": prompt}
        if not outcome.is_success:
            raise ToolError(
                f"{slug}: {outcome.message}", code=outcome.code, fate="answered", request=asked
            )
        return Result(outcome.output, request=asked, cost=outcome.totals.cost)

    def totals(self) -> dict[str, Any]:
        """What all model calls came to: {input_tokens, output_tokens, cost, unpriced_calls}."""
        models = [turn for turn in self.turns if turn["kind"] == "model"]
        costs = [record["cost"] for _, record in self.records if record["cost"] is not None]
        unpriced = sum(record["price_status"] == "unpriced" for _, record in self.records)
        return {
            "input_tokens": sum(turn["input_tokens"] for turn in models),
            "output_tokens": sum(turn["output_tokens"] for turn in models),
            "cost": money(sum(costs)) if costs else None,
            "unpriced_calls": unpriced,
        }

    def keep(self) -> None:
        """Write a row for every model call."""
        for spec, record in self.records:
            ModelCall.objects.create(
                project_id=spec.project_id,
                agent_id=spec.agent_id,
                agent_version_id=spec.version_id,
                **record,
            )


def spec_of_slug(project_id: UUID | None, slug: str) -> AgentSpec | None:
    """The current version of a model agent that may work; None where there is none."""
    rows = Agent.objects.alive().filter(project_id=project_id, slug=slug, kind="model")
    found = rows.filter(status=Agent.Status.ACTIVE).select_related("current").first()
    if found is None or found.current is None:
        return None
    found.current.agent = found
    return make_spec(found.current)


def bounded(spec: AgentSpec) -> AgentSpec:
    """With no more time than a person waits."""
    seconds = min(spec.limits.seconds or LONGEST_SECONDS, LONGEST_SECONDS)
    return replace(spec, limits=replace(spec.limits, seconds=seconds))


def _player(spec: AgentSpec) -> Player:
    try:
        spec = connected(spec)
        tools = _tools(spec)
        key, hosts = model_key(spec)
        secrets = {slug: resolve_secrets(tool, spec.project_id) for slug, tool in tools.items()}
    except (DomainError, vault.SecretRefused) as exc:
        return Player(spec, fault=exc)
    return Player(spec, tools, secrets, key, hosts)


def _tools(spec: AgentSpec) -> dict[str, ToolCallable]:
    rows = Tool.objects.alive().filter(project_id=spec.project_id, slug__in=spec.tools)
    found = {}
    for tool in rows.select_related("current"):
        if tool.current is not None:
            tool.current.tool = tool
            found[tool.slug] = callable_of(tool.current)
    return found


@dataclass
class Ports:
    """The loop's surroundings: nothing is kept but what it used."""

    talk: Talk
    player: Player
    # The agents that ask each other, this one last.
    line: tuple[str, ...]

    @property
    def spec(self) -> AgentSpec:
        """Who works."""
        return self.player.spec

    def _record(self, record: Record) -> None:
        self.talk.records.append((self.spec, record))

    async def call_model(self, request: ModelRequest) -> ModelReply:
        """Call the model, for real."""
        reply = await call_model(
            self.spec.provider, request, prices=self.talk.prices, record=self._record
        )
        answer, price = reply.answer, reply.price
        self.talk.turns.append(
            {
                "kind": "model",
                "agent": self.spec.slug,
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
        """Call a tool that only reads, or ask an agent; make an answer up for others. Failures are
        told to the model."""
        tool = self.player.tools[slug]
        is_simulated = tool.effect_class != "read"
        context = CallContext(
            secrets=self.player.secrets.get(slug, {}),
            simulate=is_simulated,
            call_agent=partial(self.talk.ask, line=self.line),
        )
        told: dict[str, Any] = {"kind": "tool", "name": slug, "arguments": arguments}
        told |= {"is_simulated": is_simulated, "error": "", "cost": None, "price_status": None}
        told |= {"input_tokens": 0, "output_tokens": 0, "latency_ms": None, "text": ""}
        told["agent"] = self.spec.slug
        self.talk.turns.append(told)
        try:
            result = await self._called(tool, arguments, context)
        except ToolError as exc:
            told["error"] = exc.message
            return ToolReply({"error": exc.message, "code": exc.code}, is_error=True, code=exc.code)
        told["text"], told["latency_ms"] = dumps(result.output).decode(), result.latency_ms
        return ToolReply(result.output, cost=result.cost)

    async def _called(
        self, tool: ToolCallable, arguments: dict[str, Any], context: CallContext
    ) -> Result:
        if tool.rate_limit and not context.simulate:
            await limits.wait(tool, within_seconds=min(tool.timeout_seconds, LONGEST_SECONDS))
        if tool.pool == "io" or context.simulate:
            return await call_tool(tool, arguments, context=context)
        return await asyncio.to_thread(call_tool_blocking, tool, arguments, context=context)

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
        about = {**self._about(), "tool": self.player.tools[slug].facts(), "arguments": arguments}
        return gate.check("tool.call", about)

    def _about(self) -> dict[str, Any]:
        agent = {"id": self.spec.agent_id, "slug": self.spec.slug, "version": self.spec.number}
        return {
            "project_id": self.spec.project_id,
            "actor": self.talk.actor,
            "agent": agent,
            "trigger": self.talk.trigger,
        }

    def is_cancelled(self) -> bool:
        """Nobody cancels; time does."""
        return False

    def log(self, level: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        """There is no run whose log it could be."""

    def on_delta(self, text: str) -> None:
        """The whole answer is shown at once."""

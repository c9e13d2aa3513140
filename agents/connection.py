"""Whether an agent's model answers: one short real call, priced and recorded like any other."""

import asyncio
import time
from typing import Any

from django.db import connection

from agents import remote
from agents.calls import Record, call_model
from agents.models import Agent, ModelCall
from agents.outcome import ModelReply
from agents.pricing import PriceList, price_list
from agents.providers.contract import ModelRequest, ProviderError
from agents.remote import RemoteReply
from agents.services import called_host
from agents.spec import AgentSpec, load_spec
from controlplane.kit import audit, gate
from controlplane.kit.errors import DomainError
from controlplane.kit.ids import uuid7
from controlplane.kit.json import money
from controlplane.kit.loop import background_loop
from projects import vault
from projects.people import User

# A person waits for it, and so does a thread of the web process.
TIMEOUT_SECONDS = 30.0
# Reasoning models spend some before their first word.
MAX_TOKENS = 64
_QUESTION = {"role": "user", "content": "Answer with the one word OK."}


def model_key(spec: AgentSpec) -> tuple[str | None, list[str] | None]:
    """(key, hosts it may go to) of a spec's secret, or (None, None) where it names none.

    DomainError `secret_not_found` or `secret_host_refused`.
    """
    called = called_host(spec.config)
    if not spec.secret or called is None:
        return None, None
    secret = vault.named(spec.project_id, spec.secret)
    return vault.reveal_for(secret, *called), list(secret.allowed_hosts)


def check_connection(agent: Agent, *, actor: User) -> dict[str, Any]:
    """Call the current version's model once: {ok, provider, model, …, error}.

    The call may cost something and leaves a ModelCall row. DomainError (409) where the agent has
    no model or policy does not allow the call.
    """
    spec = _spec(agent)
    _ask(spec, actor)
    audit.record(
        "agent.connection_checked",
        actor=actor,
        project_id=agent.project_id,
        target=agent,
        after={"version": spec.number},
    )
    if agent.kind == "remote":
        return _check_remote(spec)
    records: list[Record] = []
    try:
        reply: ModelReply | None = _call(spec, records)
        error = None
    except ProviderError as exc:
        reply = None
        error = {"code": exc.code, "message": exc.message, "retryable": exc.retryable}
    except vault.SecretRefused as exc:
        reply, error = None, {"code": exc.code, "message": exc.message, "retryable": False}
    for record in records:
        ModelCall.objects.create(
            project_id=agent.project_id, agent=agent, agent_version_id=spec.version_id, **record
        )
    return _answer(spec, reply, error)


def _spec(agent: Agent) -> AgentSpec:
    if agent.kind == "worker" or agent.current_id is None:
        message = "Its workers come to us; there is no connection to check."
        raise DomainError(message, code="wrong_kind")
    return load_spec(agent.current_id)


def _ask(spec: AgentSpec, actor: User) -> None:
    verdict = gate.check(
        "model.call",
        {
            "project_id": spec.project_id,
            "actor": actor,
            "agent": {"id": spec.agent_id, "slug": spec.slug, "version": spec.number},
            "provider": spec.provider,
            "model": spec.model,
            "trigger": "connection_check",
        },
    )
    if not verdict.is_allowed:
        code = verdict.code or (
            "approval_required" if verdict.outcome == "require_approval" else "policy_denied"
        )
        raise DomainError(verdict.reason or "A policy does not allow this call.", code=code)


def _call(spec: AgentSpec, records: list[Record]) -> ModelReply:
    key, hosts = model_key(spec)
    prices: PriceList = price_list(spec.project_id)
    request = ModelRequest(
        model=spec.model,
        messages=[_QUESTION],
        base_url=spec.base_url,
        api_key=key,
        allowed_hosts=hosts,
        parameters=spec.parameters,
        max_tokens=MAX_TOKENS,
        timeout=min(TIMEOUT_SECONDS, spec.timeout_seconds),
    )
    if not connection.in_atomic_block:
        # No connection is held while the other side works.
        connection.close()
    return asyncio.run_coroutine_threadsafe(
        call_model(spec.provider, request, prices=prices, record=records.append),
        background_loop(),
    ).result()


def _check_remote(spec: AgentSpec) -> dict[str, Any]:
    """Ask a remote agent once; nothing of its answer is kept."""
    began = time.perf_counter()
    reply: RemoteReply | None = None
    error = None
    try:
        key, hosts = model_key(spec)
        if not connection.in_atomic_block:
            connection.close()
        question = {"prompt": _QUESTION["content"], "output_schema": None, "check": True}
        asked = remote.ask(
            spec, question, idempotency_key=str(uuid7()), api_key=key, allowed_hosts=hosts
        )
        reply = asyncio.run_coroutine_threadsafe(asked, background_loop()).result()
    except (remote.RemoteFailure, vault.SecretRefused) as exc:
        error = {
            "code": exc.code, "message": exc.message, "retryable": exc.code in remote.REPEATED,
        }  # fmt: skip
    return {
        "ok": error is None,
        "provider": "remote",
        "model": spec.slug,
        "response_model": None,
        "latency_ms": round((time.perf_counter() - began) * 1000, 3),
        "first_token_ms": None,
        "input_tokens": reply.input_tokens if reply else 0,
        "output_tokens": reply.output_tokens if reply else 0,
        "cost": money(reply.cost) if reply else None,
        "currency": "USD",
        "price_status": "priced" if reply and reply.cost is not None else "unpriced",
        "error": error,
    }


def _answer(
    spec: AgentSpec, reply: ModelReply | None, error: dict[str, Any] | None
) -> dict[str, Any]:
    answer, price = (reply.answer, reply.price) if reply else (None, None)
    return {
        "ok": error is None,
        "provider": spec.provider,
        "model": spec.model,
        "response_model": answer.response_model if answer else None,
        "latency_ms": round(answer.latency_ms, 3) if answer else None,
        "first_token_ms": (
            round(answer.first_token_ms, 3) if answer and answer.first_token_ms else None
        ),
        "input_tokens": answer.usage.input_tokens if answer else 0,
        "output_tokens": answer.usage.output_tokens if answer else 0,
        "cost": money(price.cost) if price else None,
        "currency": price.currency if price else "USD",
        "price_status": price.price_status if price else "unpriced",
        "error": error,
    }

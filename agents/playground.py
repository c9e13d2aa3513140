"""Talking to a version of a model agent outside of any run: what it says, turn by turn, with its
tokens, time and cost; see agents.talking for what happens for real."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from agents.models import Agent, AgentVersion
from agents.outcome import AgentOutcome
from agents.providers.contract import ProviderError
from agents.spec import AgentSpec, make_spec
from agents.talking import LONGEST_SECONDS, Talk
from controlplane.kit import audit
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.loop import background_loop
from projects import freezing, vault
from projects.people import User

LONGEST_MESSAGE = 20_000
MOST_TURNS_TOLD = 20


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
    freezing.refuse_frozen(agent.project)
    spec = _spec(agent, version)
    talk = Talk(spec, actor, "playground")
    if not connection.in_atomic_block:
        # No connection is held while the model works.
        connection.close()
    outcome, error = _asked(talk, spec, _prompt(message, history))
    talk.keep()
    audit.record(
        "agent.played",
        actor=actor,
        project_id=agent.project_id,
        target=agent,
        after={"version": spec.number, "model_calls": len(talk.records)},
    )
    return _answer(spec, outcome, talk, error)


def _asked(
    talk: Talk, spec: AgentSpec, prompt: str
) -> tuple[AgentOutcome | None, dict[str, Any] | None]:
    work = talk.work(spec.slug, prompt)
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
    return make_spec(version)


def _prompt(message: str, history: Sequence[Mapping[str, str]]) -> str:
    if not history:
        return message
    lines = [f"{line['role']}: {line['text']}" for line in history[-MOST_TURNS_TOLD:]]
    return "Our conversation so far:\n" + "\n".join(lines) + f"\n\nuser: {message}"


def _answer(
    spec: AgentSpec, outcome: AgentOutcome | None, talk: Talk, error: dict[str, Any] | None
) -> dict[str, Any]:
    if outcome is not None and not outcome.is_success:
        error = {"code": outcome.code, "message": outcome.message}
    return {
        "ok": error is None,
        "version": spec.number,
        "text": outcome.output.get("text", "") if outcome else "",
        "data": outcome.output.get("data") if outcome else None,
        "turns": talk.turns,
        **talk.totals(),
        "elapsed_ms": round(outcome.elapsed_ms, 3) if outcome else None,
        "error": error,
    }

"""A step of a remote agent: one guarded HTTP call to the agent's address, never more at once than
its deployment allows, under an idempotency key that a repetition carries again."""

import asyncio
import hashlib
import time
from decimal import Decimal
from typing import Any

from django.utils import timezone

from agents.connection import model_key
from agents.remote import REPEATED, RemoteFailure, RemoteReply, ask
from agents.spec import AgentSpec
from controlplane.kit import gate, schemas
from controlplane.kit.database import query
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps, money
from runs.calls import effect_key
from runs.reading import returning_connection
from runs.work import Done, StepFailed, StepWork

# How often a step looks whether it is its turn.
LOOK_SECONDS = 0.25
LONGEST_LOOK_SECONDS = 2.0

# Steps of the same agent that are worked on and were leased before: first come, first served. The
# rows say so themselves, so a dead worker holds no place.
_BEFORE_ME = """
SELECT count(*) FROM step s JOIN step me ON me.id = %s
WHERE s.agent_id = me.agent_id AND s.status = 'running'
  AND (s.leased_at, s.id) < (me.leased_at, me.id)
"""
_CONCURRENCY = """
SELECT concurrency FROM deployment WHERE agent_id = %s AND environment_id = %s
  AND phase NOT IN ('retired', 'paused')
"""


async def work(step: StepWork, spec: AgentSpec) -> Done:
    """{text, data, turns}: what the agent answered."""
    prompt = step.render("prompt")
    if not isinstance(prompt, str):
        prompt = "" if prompt is None else dumps(prompt).decode()
    step.input = {"prompt": prompt, "agent": spec.slug, "version": spec.number}
    _ask_gate(step, spec)
    if step.run.simulated:
        text = f"{spec.slug} was not called: this is a simulation."
        return Done(output={"text": text, "data": None, "turns": 0}, input=step.input)
    await _turn(step, spec)
    key, hosts = None, None
    if spec.secret:
        key, hosts = await asyncio.to_thread(lambda: returning_connection(lambda: model_key(spec)))
    idempotency_key, kept = await _declare(step, spec, prompt)
    if kept is None:
        kept = await _called(step, spec, prompt, idempotency_key, key, hosts)
        await asyncio.to_thread(step.worker.store.fulfil, step, 0, kept)
    else:
        step.log("info", f"{spec.slug} has answered this before; its answer was kept.", None)
    done = step.spent
    done.output, done.input = _checked(step, spec, kept), step.input
    return done


async def _declare(step: StepWork, spec: AgentSpec, prompt: str) -> tuple[str, Any]:
    """(the key of the call, its answer where it was made before)."""
    arguments = {"prompt": prompt}
    effect = {
        "key": effect_key(step, 0),
        "tool_id": None,
        "tool_name": spec.slug,
        "effect_class": "idempotent",
        "args_sha256": hashlib.sha256(dumps(arguments)).hexdigest(),
        "arguments": arguments,
    }
    row = await asyncio.to_thread(step.worker.store.declare, step, 0, effect)
    return row["key"], row["result"] if row["state"] in ("done", "resolved") else None


async def _called(
    step: StepWork,
    spec: AgentSpec,
    prompt: str,
    idempotency_key: str,
    key: str | None,
    hosts: list[str] | None,
) -> dict[str, Any]:
    schema = step.node.fields.get("output_schema") or spec.output_schema
    question = {
        "prompt": prompt,
        "output_schema": schema,
        "run": str(step.run.id),
        "step": str(step.id),
        "environment": step.run.environment,
    }
    began, started = time.perf_counter(), timezone.now()
    try:
        reply = await ask(
            spec, question, idempotency_key=idempotency_key, api_key=key, allowed_hosts=hosts
        )
    except RemoteFailure as exc:
        latency = (time.perf_counter() - began) * 1000
        step.spent.calls.append(_record(step, spec, started, latency, None, exc.code))
        # The other side may have heard it: the key makes a repetition safe.
        if exc.code not in REPEATED:
            await asyncio.to_thread(step.worker.store.withdraw, step, 0)
        raise StepFailed(
            exc.message,
            code=exc.code,
            is_retryable=exc.code in REPEATED,
            retry_after_seconds=exc.retry_after,
        ) from exc
    latency = (time.perf_counter() - began) * 1000
    step.spent.calls.append(_record(step, spec, started, latency, reply, ""))
    used = step.spent
    used.input_tokens += reply.input_tokens
    used.output_tokens += reply.output_tokens
    if reply.cost is None:
        used.unpriced_calls += 1
    else:
        used.cost = (used.cost or Decimal(0)) + reply.cost
    step.log("info", f"{spec.slug} answered in {latency:.0f} ms", None)
    return {"text": reply.text, "data": reply.data, "turns": 1}


def _checked(step: StepWork, spec: AgentSpec, output: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it fits the schema that was asked for."""
    schema = step.node.fields.get("output_schema") or spec.output_schema
    if schema and (faults := schemas.faults(schema, output["data"], "data")):
        raise StepFailed(
            f"The answer of {spec.slug} does not fit: {faults[0].message}",
            code="answer_invalid",
            is_retryable=False,
            details={"output": output},
        )
    return output


async def _turn(step: StepWork, spec: AgentSpec) -> None:
    """Wait until fewer than so many tasks of the agent are under way."""
    pause = LOOK_SECONDS

    def places() -> tuple[int, int]:
        def read() -> tuple[int, int]:
            rows = query(_CONCURRENCY, [spec.agent_id, step.run.environment_id])
            cap = rows[0][0] if rows else spec.config.get("max_concurrency") or 1
            return cap, query(_BEFORE_ME, [step.id])[0][0]

        return returning_connection(read)

    while True:
        cap, before = await asyncio.to_thread(places)
        if before < cap:
            return
        step.check_cancelled()
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)


def _ask_gate(step: StepWork, spec: AgentSpec) -> None:
    verdict = gate.check(
        "model.call",
        {
            "project_id": step.run.project_id,
            "environment": step.run.environment,
            "workflow": step.run.workflow,
            "run_id": step.run.id,
            "step_id": step.id,
            "agent": spec.slug,
            "provider": "remote",
            "model": spec.slug,
        },
    )
    if verdict.outcome == "deny":
        raise StepFailed(verdict.reason, code=verdict.code or "policy_denied", is_retryable=False)


def _record(
    step: StepWork,
    spec: AgentSpec,
    started: Any,
    latency: float,
    reply: RemoteReply | None,
    error: str,
) -> dict[str, Any]:
    """The row and the event of the call, as of a model's."""
    cost = reply.cost if reply else None
    row = {
        "id": uuid7(), "project": step.run.project_id, "agent": spec.agent_id,
        "version": spec.version_id, "run": step.run.id, "step": step.id,
        "workflow": step.run.workflow_id, "environment": step.run.environment_id, "turn": 1,
        "provider": "remote", "model": spec.slug[:120], "response_model": "",
        "state": "failed" if error else "succeeded", "error": error, "finish": "",
        "it": reply.input_tokens if reply else 0, "ot": reply.output_tokens if reply else 0,
        "cr": 0, "cw": 0, "rt": 0, "ms": round(latency, 3), "first_ms": None, "cost": cost,
        "currency": "USD", "price_status": "unpriced" if cost is None else "priced",
    }  # fmt: skip
    event = {
        "model": row["model"], "status": row["state"], "turn": 1, "latency_ms": row["ms"],
        "input_tokens": row["it"], "output_tokens": row["ot"], "cost": money(cost),
        "price_status": row["price_status"],
    }  # fmt: skip
    return {"kind": "model", "row": row, "event": event}

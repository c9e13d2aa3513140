"""tool: one call of a tool, declared before it happens where it does more than read."""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from controlplane.kit import gate
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from runs.limiting import reach, reach_blocking
from runs.nesting import Nesting
from runs.reading import callable_of, hold_definition, secrets_of
from runs.work import Done, NeedsReconcile, StepFailed, StepWork, Waits
from tools.calling import call_tool, call_tool_blocking
from tools.calls import CallContext, Result, ToolCallable, ToolError
from tools.models import Kind

EFFECT_NAMESPACE = uuid.UUID("6f1b1f0e-5b0a-4c5e-9a56-2f0f9d0c7b11")


def is_instant(step: StepWork) -> bool:
    """Whether the tool is a function that is over at once and changes nothing outside."""
    step.subject = tool = callable_of(step.run.pins["tools"][step.node.fields["tool"]]["version"])
    return tool.pool == "inline" and tool.effect_class == "read" and not tool.rate_limit


def work(step: StepWork) -> Done | Waits:
    """The tool's output; for tools that need a thread, or that are over at once."""
    call = begin(step)
    is_in_time = False
    while not is_in_time:
        place = None
        if call.is_limited:
            try:
                place = reach_blocking(step, call.tool)
            except ToolError as exc:
                raise end_badly(call, exc) from exc
            if isinstance(place, Waits):
                return place
        if call.is_declared:
            kept = declare(call)
            if kept is not None:
                return kept
        is_in_time = place is None or not place.is_lost
        if not is_in_time and call.is_declared:
            step.worker.store.withdraw(step, call.ordinal)
    try:
        result = call_tool_blocking(call.tool, call.arguments, context=call.context)
    except ToolError as exc:
        raise end_badly(call, exc) from exc
    return end_well(call, result)


async def work_async(step: StepWork) -> Done | Waits:
    """The tool's output; for tools that wait on the network."""
    call = begin(step)
    if call.tool.kind == Kind.AGENT:
        call.context.call_agent = partial(Nesting(step).ask, ordinal=call.ordinal, line=())
    if call.tool.secret_names:
        call.context.secrets = await asyncio.to_thread(secrets_of, call.tool, step.run.project_id)
    is_in_time = False
    while not is_in_time:
        place = None
        if call.is_limited:
            try:
                place = await reach(step, call.tool)
            except ToolError as exc:
                raise await asyncio.to_thread(end_badly, call, exc) from exc
            if isinstance(place, Waits):
                return place
        if call.is_declared:
            # From here on nobody cuts the step off: what is declared must be known to have
            # happened.
            step.open_effects[call.ordinal] = call.tool.effect_class
            kept = await asyncio.to_thread(declare, call)
            if kept is not None:
                return kept
        is_in_time = place is None or not place.is_lost
        if not is_in_time and call.is_declared:
            await asyncio.to_thread(step.worker.store.withdraw, step, call.ordinal)
    try:
        result = await call_tool(call.tool, call.arguments, context=call.context)
    except ToolError as exc:
        failure = await asyncio.to_thread(end_badly, call, exc)
        raise failure from exc
    return (
        await asyncio.to_thread(end_well, call, result)
        if call.is_declared
        else end_well(call, result)
    )


@dataclass(slots=True)
class ToolStep:
    """One call in the hands of a step. `ordinal` counts the calls of the step."""

    step: StepWork
    tool: ToolCallable
    arguments: dict[str, Any]
    context: CallContext
    ordinal: int = 0
    agent_id: uuid.UUID | None = None

    @property
    def is_declared(self) -> bool:
        """Whether the call may change something outside and so is written down first."""
        return self.tool.effect_class != "read" and not self.context.simulate

    @property
    def is_limited(self) -> bool:
        """Whether the call needs a place in time."""
        return self.tool.rate_limit is not None and not self.context.simulate

    @property
    def args_sha256(self) -> str:
        """What the arguments were, as a fingerprint."""
        return hashlib.sha256(dumps(self.arguments)).hexdigest()


def effect_key(step: StepWork, ordinal: int) -> str:
    """The same for a repetition of one call, also in a retry of what failed; new for a fork and for
    steps done again on purpose (see runs.carrying.key_bases)."""
    return str(uuid.uuid5(EFFECT_NAMESPACE, f"{key_base(step)}:{ordinal}"))


def key_base(step: StepWork) -> str:
    """What the keys of a step's calls begin with."""
    top = step.path.partition("[")[0] or step.node.id
    base = step.run.pins.get("keys", {}).get(top, step.run.root_id)
    return f"{base}:{step.path}.{step.node.id}"


def begin(step: StepWork) -> ToolStep:
    """Arguments rendered, the gate asked; nothing has happened yet."""
    tool: ToolCallable = step.subject
    arguments = step.render("arguments")
    arguments = {} if arguments is None else arguments
    step.input = arguments
    call = ToolStep(step, tool, arguments, call_context(step, tool, 0))
    ask_gate(step, tool, arguments)
    return call


def call_context(step: StepWork, tool: ToolCallable, ordinal: int) -> CallContext:
    """How a call of this step is made."""
    return CallContext(
        idempotency_key="" if tool.effect_class == "read" else effect_key(step, ordinal),
        timeout_seconds=step.node.timeout_seconds,
        simulate=step.run.simulated,
        log=step.log,
        is_cancelled=step.stop.is_set,
    )


def ask_gate(step: StepWork, tool: ToolCallable, arguments: Any) -> None:
    """The policy's word on this call; StepFailed `policy_denied` where it forbids."""
    verdict = gate.check(
        "tool.call",
        {
            "project_id": step.run.project_id,
            "environment": step.run.environment,
            "workflow": step.run.workflow,
            "run_id": step.run.id,
            "step_id": step.id,
            "tool": tool.facts(),
            "arguments": arguments,
        },
    )
    if verdict.outcome == "deny":
        raise StepFailed(verdict.reason, code=verdict.code or "policy_denied", is_retryable=False)


def declare(call: ToolStep) -> Done | None:
    """Write the intent. Where an earlier attempt wrote it: its result if it is known, the same key
    again for an idempotent tool, a person's word for others."""
    row = call.step.worker.store.declare(
        call.step,
        call.ordinal,
        {
            "key": call.context.idempotency_key,
            "tool_id": call.tool.tool_id,
            "tool_name": call.tool.slug,
            "effect_class": call.tool.effect_class,
            "args_sha256": call.args_sha256,
            "arguments": call.arguments,
        },
    )
    call.context.idempotency_key = row["key"]
    if row["is_new"]:
        return None
    if row["resolution"] == "compensate":
        message = f"The interrupted call of {call.tool.slug} was undone by a person."
        raise StepFailed(message, code="compensated", is_retryable=False)
    if row["state"] in ("done", "resolved"):
        return Done(output=row["result"], input=call.arguments)
    if call.tool.effect_class == "idempotent":
        return None
    raise NeedsReconcile


def end_well(call: ToolStep, result: Result) -> Done:
    """The call happened; the effect is done."""
    if call.is_declared:
        call.step.worker.store.fulfil(call.step, call.ordinal, result.output)
    return Done(
        output=_marked(result),
        input=call.arguments,
        calls=[call_record(call, "succeeded", result.latency_ms, "")],
    )


def _marked(result: Result) -> Any:
    if result.simulated and isinstance(result.output, dict):
        return {**result.output, "simulated": True}
    return result.output


def end_badly(call: ToolStep, exc: ToolError) -> Exception:
    """What the failure of a call means for the step: repeat, give up, or ask a person."""
    step = call.step
    step.spent.calls.append(call_record(call, "failed", exc.latency_ms or 0, exc.code))
    if exc.definition is not None and call.tool.tool_id is not None:
        hold_definition(call.tool.tool_id, exc.definition)
    if call.is_declared and exc.fate != "unknown":
        step.worker.store.withdraw(step, call.ordinal)
    if call.is_declared and exc.fate == "unknown" and call.tool.effect_class != "idempotent":
        return NeedsReconcile()
    details: dict[str, Any] = {}
    if exc.errors:
        details["errors"] = [e.as_dict() for e in exc.errors]
    if exc.response:
        details["response"] = exc.response
    return StepFailed(
        exc.message,
        code=exc.code,
        is_retryable=exc.retryable,
        retry_after_seconds=exc.retry_after_seconds,
        details=details,
    )


def call_record(call: ToolStep, state: str, latency_ms: float, error: str) -> dict[str, Any]:
    """The row and the event of one call."""
    step, tool = call.step, call.tool
    row = {
        "id": uuid7(),
        "project": step.run.project_id,
        "tool": tool.tool_id,
        "version": tool.version_id,
        "run": step.run.id,
        "step": step.id,
        "agent": call.agent_id,
        "workflow": step.run.workflow_id,
        "state": state,
        "error": error,
        "ms": latency_ms,
        "args": call.args_sha256,
        "key": call.context.idempotency_key if call.is_declared else "",
        "cost": None,
    }
    event = {"tool": tool.slug, "status": state, "latency_ms": latency_ms}
    if error:
        event["error"] = error
    return {"kind": "tool", "row": row, "event": event}

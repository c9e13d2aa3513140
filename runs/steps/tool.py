"""tool: one call of a tool, declared before it happens where it does more than read."""

import asyncio
from functools import partial
from typing import Any

from runs.calls import ToolStep, ask_gate, call_context, call_record
from runs.checking import NotDone, ask_check
from runs.limiting import reach, reach_blocking
from runs.nesting import Nesting
from runs.reading import callable_of, hold_definition, secrets_of
from runs.work import Done, NeedsReconcile, StepFailed, StepWork, Waits
from tools.calling import call_tool, call_tool_blocking
from tools.calls import Result, ToolCallable, ToolError
from tools.models import Kind


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
            try:
                kept = declare(call)
            except ToolError as exc:
                raise end_badly(call, exc) from exc
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
            step.open_effects[call.ordinal] = call.effect_class
            try:
                kept = await asyncio.to_thread(declare, call)
            except ToolError as exc:
                raise await asyncio.to_thread(end_badly, call, exc) from exc
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


def begin(step: StepWork) -> ToolStep:
    """Arguments rendered, the gate asked; nothing has happened yet."""
    tool: ToolCallable = step.subject
    arguments = step.render("arguments")
    arguments = {} if arguments is None else arguments
    step.input = arguments
    call = ToolStep(step, tool, arguments, call_context(step, tool, 0))
    ask_gate(step, tool, arguments)
    return call


def declare(call: ToolStep) -> Done | None:
    """Write the intent. Where an earlier attempt wrote it: its result if it is known, the same key
    again for an idempotent tool, what its check says for a checkable one (ToolError where the
    attempt before failed and its call did not happen), a person's word for others."""
    row = call.step.worker.store.declare(
        call.step,
        call.ordinal,
        {
            "key": call.context.idempotency_key,
            "tool_id": call.tool.tool_id,
            "tool_name": call.tool.slug,
            "effect_class": call.effect_class,
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
    if call.effect_class == "idempotent":
        return None
    if call.effect_class == "checkable":
        return ask_check(call, row["id"])
    raise NeedsReconcile


def end_well(call: ToolStep, result: Result) -> Done:
    """The call happened; the effect is done."""
    if call.is_declared:
        call.step.worker.store.fulfil(call.step, call.ordinal, result.output)
    return Done(
        output=_marked(result),
        input=call.arguments,
        calls=[*call.step.spent.calls, call_record(call, "succeeded", result.latency_ms, "")],
    )


def _marked(result: Result) -> Any:
    if result.simulated and isinstance(result.output, dict):
        return {**result.output, "simulated": True}
    return result.output


def end_badly(call: ToolStep, exc: ToolError) -> Exception:
    """What the failure of a call means for the step: repeat, give up, ask its check or a
    person."""
    step = call.step
    if not isinstance(exc, NotDone):
        step.spent.calls.append(call_record(call, "failed", exc.latency_ms or 0, exc.code))
    if exc.definition is not None and call.tool.tool_id is not None:
        hold_definition(call.tool.tool_id, exc.definition)
    if call.is_declared and exc.fate != "unknown":
        step.worker.store.withdraw(step, call.ordinal)
    details: dict[str, Any] = {}
    if exc.errors:
        details["errors"] = [e.as_dict() for e in exc.errors]
    if exc.response:
        details["response"] = exc.response
    failure = StepFailed(
        exc.message,
        code=exc.code,
        is_retryable=exc.retryable,
        retry_after_seconds=exc.retry_after_seconds,
        details=details,
    )
    if call.is_declared and exc.fate == "unknown" and call.effect_class != "idempotent":
        return NeedsReconcile(failure)
    return failure

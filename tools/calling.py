"""Calling a tool: checks before, the call itself, checks after. No database is touched here."""

import asyncio
import time
from typing import Any

from controlplane.kit import schemas, storable
from controlplane.kit.egress import Redactor
from controlplane.kit.errors import FieldProblem
from tools.calls import Call, CallContext, Fate, Result, ToolCallable, ToolError
from tools.kinds import kind
from tools.sample import simulated_output

MAX_OUTPUT_BYTES = 5 * 1024 * 1024


def prepare(tool: ToolCallable, arguments: Any) -> dict[str, Any]:
    """The arguments, checked against the tool's input schema. ToolError `input_invalid` names each
    fault as `arguments.<place>`; a tool that may not be called refuses with its reason."""
    if tool.refusal:
        raise ToolError(tool.refusal, code=tool.refusal_code)
    if not isinstance(arguments, dict):
        fault = FieldProblem("arguments", "type", "Arguments are an object.")
        raise ToolError("Arguments are an object.", code="input_invalid", errors=[fault])
    if faults := schemas.faults(tool.input_schema, arguments, "arguments"):
        first = faults[0]
        raise ToolError(
            f"The arguments do not fit {tool.slug}: {first.field}: {first.message}",
            code="input_invalid",
            errors=faults,
        )
    return arguments


async def call_tool(tool: ToolCallable, arguments: Any, *, context: CallContext) -> Result:
    """Call a tool whose pool is "io". ToolError says what went wrong; cancelling the task ends
    the call."""
    call = _call(tool, arguments, context)
    started = time.perf_counter()
    if context.simulate:
        return _simulated(tool)
    try:
        async with asyncio.timeout(call.timeout_seconds):
            result = await kind(tool.kind).call(call)
    except TimeoutError:
        raise _late(call, started) from None
    except ToolError as exc:
        raise _finished(exc, context, started) from exc.__cause__
    return _checked(result, call, started)


def call_tool_blocking(tool: ToolCallable, arguments: Any, *, context: CallContext) -> Result:
    """Call a tool whose pool is "cpu", from a thread, or "inline", from anywhere."""
    call = _call(tool, arguments, context)
    started = time.perf_counter()
    if context.simulate:
        return _simulated(tool)
    try:
        result = kind(tool.kind).call_blocking(call)
    except ToolError as exc:
        raise _finished(exc, context, started) from exc.__cause__
    return _checked(result, call, started)


def _call(tool: ToolCallable, arguments: Any, context: CallContext) -> Call:
    checked = prepare(tool, arguments)
    seconds = tool.timeout_seconds
    if context.timeout_seconds is not None:
        seconds = min(seconds, context.timeout_seconds)
    return Call(tool, checked, context, seconds)


def _simulated(tool: ToolCallable) -> Result:
    return Result(simulated_output(tool.output_schema), simulated=True)


def _late(call: Call, started: float) -> ToolError:
    fate: Fate = "answered" if call.tool.effect_class == "read" else "unknown"
    error = ToolError(
        f"{call.tool.name} did not finish within {call.timeout_seconds:g} s.",
        code="timeout",
        retryable=True,
        fate=fate,
    )
    return _finished(error, call.context, started)


def _finished(error: ToolError, context: CallContext, started: float) -> ToolError:
    error.latency_ms = _since(started)
    if context.secrets:
        redactor = _redactor(context)
        error.message = redactor.text(error.message)
        error.args = (error.message,)
    return error


def _redactor(context: CallContext) -> Redactor:
    return Redactor([secret.value for secret in context.secrets.values()])


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def _checked(result: Result, call: Call, started: float) -> Result:
    result.latency_ms = _since(started)
    tool, output = call.tool, result.output
    if output and (problem := storable.problem(output, MAX_OUTPUT_BYTES)):
        error = ToolError(
            f"The output of {tool.name} cannot be stored: {problem}",
            code="output_not_storable",
            fate="answered",
            request=result.request,
            response=result.response,
        )
        error.latency_ms = result.latency_ms
        raise error
    if tool.output_schema and (faults := schemas.faults(tool.output_schema, output, "output")):
        error = ToolError(
            f"The output does not fit {tool.slug}: {faults[0].field}: {faults[0].message}",
            code="output_invalid",
            fate="answered",
            errors=faults,
            request=result.request,
            response=result.response,
        )
        error.latency_ms = result.latency_ms
        raise error
    return result

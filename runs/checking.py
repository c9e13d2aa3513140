"""Asking a tool's check whether a call in doubt happened, and what follows from the answer."""

import asyncio
from typing import Any
from uuid import UUID

from django.db import connection

from controlplane.kit import schemas, storable
from controlplane.kit.errors import DomainError
from controlplane.kit.expressions import ExpressionError
from controlplane.kit.loop import background_loop
from runs.calls import ToolStep, ask_gate, call_record
from runs.reading import returning_connection, secrets_of
from runs.work import ASKING, MAX_OUTPUT_BYTES, Done, NeedsReconcile, StepFailed
from tools import limits, recovery
from tools.callables import load_callable
from tools.calling import call_tool, call_tool_blocking
from tools.calls import CallContext, Result, ToolCallable, ToolError
from tools.recovery import Reading


class NotDone(ToolError):
    """A call that failed, and that certainly did not happen: its check said so."""


def ask_check(call: ToolStep, effect_id: UUID) -> Done | None:
    """Ask whether a call of a checkable tool, whose intent stands, happened. Its result where it
    did; None where it did not, and is made now under the same key; NotDone where it did not and
    the attempt that made it failed; NeedsReconcile where nobody can tell."""
    step, ordinal = call.step, call.ordinal
    step.open_effects[ordinal] = ASKING
    asking = step.state.get("asking", {})
    asked = _Asked(call)
    reading = asked.reading()
    step.worker.store.note_check(step, effect_id, asked.note(reading))
    step.log("info", asked.sentence(reading), {"check": asked.slug, "verdict": reading.verdict})
    if reading.verdict == "done":
        step.worker.store.fulfil(step, ordinal, reading.output)
        return Done(output=reading.output, input=call.arguments, calls=step.spent.calls)
    if reading.verdict == "unknown":
        raise NeedsReconcile(may_ask=reading.may_change)
    step.worker.store.reopen(step, ordinal, effect_id)
    step.open_effects[ordinal] = call.effect_class
    failure = asking.pop(str(ordinal), {}).get("error")
    if failure is None:
        return None
    message = f"{failure['message']} It did not happen, as {asked.slug} says."
    raise NotDone(message, code=failure["code"], retryable=failure["retryable"])


class _Asked:
    """One question to the check of a call, and its record."""

    def __init__(self, call: ToolStep) -> None:
        self.call = call
        self.check: Any = call.tool.effect_check
        self.slug: str = self.check["tool"]
        self.record: dict[str, Any] | None = None

    def reading(self) -> Reading:
        """Ask, and read the answer."""
        key, arguments = self.call.context.idempotency_key, self.call.arguments
        given = {"arguments": arguments, "key": key}
        try:
            tool = self._tool()
            made = recovery.arguments_of(self.check, arguments, key)
            ask_gate(self.call.step, tool, made)
        except ToolError as exc:
            return Reading("unknown", why=exc.message, may_change=exc.retryable)
        except (StepFailed, ExpressionError) as exc:
            return Reading("unknown", why=exc.message)
        asked = ToolStep(self.call.step, tool, made, self._context(), agent_id=self.call.agent_id)
        try:
            result = _made(asked)
        except ToolError as exc:
            reading = recovery.read(self.check, **given, error=_facts(exc))
            self._keep(asked, reading, "failed", exc.latency_ms or 0, exc.code)
            return reading
        reading = self._fitting(recovery.read(self.check, **given, output=result.output))
        self._keep(asked, reading, "succeeded", result.latency_ms, "")
        return reading

    def _tool(self) -> ToolCallable:
        """The tool of the check as it is now; ToolError where it is gone or may change things."""
        project_id = self.call.step.run.project_id

        def read() -> ToolCallable:
            found = recovery.other(project_id, self.slug)
            if found is None or found.current_id is None:
                raise ToolError(f"There is no tool {self.slug} any more.", code="tool_missing")
            return load_callable(found.current_id)

        tool = returning_connection(read)
        if tool.effect_class != "read":
            raise ToolError(f"{tool.name} may change something and is not asked.", code="not_read")
        return tool

    def _context(self) -> CallContext:
        step = self.call.step
        return CallContext(log=step.log, is_cancelled=step.stop.is_set)

    def _fitting(self, reading: Reading) -> Reading:
        """An output that the tool itself could not have given tells nothing."""
        if reading.verdict != "done":
            return reading
        schema = self.call.tool.output_schema
        if fault := storable.problem(reading.output, MAX_OUTPUT_BYTES):
            return Reading("unknown", why=f"The output cannot be stored: {fault}")
        if schema is not None and (faults := schemas.faults(schema, reading.output, "output")):
            first = faults[0]
            return Reading("unknown", why=f"{first.field}: {first.message}")
        return reading

    def _keep(
        self, asked: ToolStep, reading: Reading, state: str, latency_ms: float, error: str
    ) -> None:
        record = call_record(asked, state, latency_ms, error)
        record["event"] |= {"checks": self.call.tool.slug, "verdict": reading.verdict}
        self.call.step.spent.calls.append(record)

    def note(self, reading: Reading) -> dict[str, Any]:
        """What is kept with the effect."""
        return {"tool": self.slug, "verdict": reading.verdict, "why": reading.why}

    def sentence(self, reading: Reading) -> str:
        """What it said, for the log."""
        words = {
            "done": "the call happened",
            "not_done": "the call did not happen",
            "unknown": f"nobody can tell: {reading.why}",
        }
        return f"{self.slug} was asked about {self.call.tool.slug}: {words[reading.verdict]}"


def _made(asked: ToolStep) -> Result:
    """Call the check, on a thread that waits for it."""
    tool, context = asked.tool, asked.context
    if tool.secret_names:
        try:
            context.secrets = secrets_of(tool, asked.step.run.project_id)
        except DomainError as exc:
            raise ToolError(exc.message, code=exc.code) from exc
    if tool.rate_limit:
        try:
            limits.wait_blocking(tool, within_seconds=tool.timeout_seconds)
        finally:
            connection.close()
    if tool.pool != "io":
        return call_tool_blocking(tool, asked.arguments, context=context)
    called = call_tool(tool, asked.arguments, context=context)
    return asyncio.run_coroutine_threadsafe(called, background_loop()).result()


def _facts(exc: ToolError) -> dict[str, Any]:
    return {
        "code": exc.code,
        "message": exc.message,
        "status": (exc.response or {}).get("status"),
        "retryable": exc.retryable,
    }

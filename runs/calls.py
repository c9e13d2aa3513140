"""One call of a tool in the hands of a step: its key, its context, the gate, its record."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from controlplane.kit import gate
from controlplane.kit.ids import uuid7
from controlplane.kit.json import dumps
from runs.work import StepFailed, StepWork
from tools.calls import CallContext, ToolCallable
from tools.recovery import with_check

EFFECT_NAMESPACE = uuid.UUID("6f1b1f0e-5b0a-4c5e-9a56-2f0f9d0c7b11")


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
    def effect_class(self) -> str:
        """What an interruption means: nobody can be asked about a checkable call without a
        check."""
        declared = self.tool.effect_class
        return "unsafe" if declared == "checkable" and not with_check(self.tool) else declared

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

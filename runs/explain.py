"""One true sentence on why a run stands where it stands. Pure: takes values, knows no clock."""

from collections.abc import Mapping
from typing import Any

REASONS = {
    "backoff": "waits before its next try",
    "reconcile": "waits for a person to say whether its interrupted call happened",
    "crashed": "is parked: its worker died three times on it",
    "approval": "waits for an approval",
    "timer": "waits for its time",
    "signal": "waits for a signal",
    "form": "waits for somebody's answers",
    "items": "works through its items",
    "child": "waits for its sub-workflow",
    "worker_lost": "was interrupted by a dying worker and is queued again",
}


def explain(
    status: str,
    *,
    error: Mapping[str, Any] | None = None,
    reason: str = "",
    steps: Mapping[str, tuple[str, str]] | None = None,
    workers: int | None = None,
) -> str:
    """The sentence. `steps` maps the name of each open step to (status, reason); `workers` is the
    number of live workers where that was looked up."""
    if status == "queued":
        if workers == 0:
            return "Queued: no worker is alive to take it."
        return "Queued: waiting for a free worker."
    if status == "waiting":
        for name, (step_status, step_reason) in (steps or {}).items():
            if step_status in ("waiting", "parked"):
                return f"{name} {REASONS.get(step_reason, 'waits')}."
        return "Waiting."
    if status == "paused":
        return "Paused: nothing new starts until it is resumed."
    if status == "cancelling":
        return "Stopping: its running steps are told to stop."
    if status == "running":
        names = [n for n, (step_status, _) in (steps or {}).items() if step_status == "running"]
        return f"Working on {', '.join(names[:3])}." if names else "Running."
    if status in ("failed", "timed_out"):
        where = f"{error['node']}: " if error and error.get("node") else ""
        return f"{where}{error['message']}" if error and error.get("message") else reason
    if status == "cancelled" and error and error.get("message"):
        return f"Cancelled: {error['message']}"
    return {"succeeded": "Finished.", "cancelled": "Cancelled."}.get(status, "")

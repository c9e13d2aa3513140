"""signal: waits for a message to the run; one that came early is kept for it."""

from datetime import UTC, datetime, timedelta

from runs.work import Done, StepFailed, StepWork, Waits
from workflows.graph import render_field


def work(step: StepWork) -> Done | Waits:
    """The body of the signal; fails `expired` where none came in time."""
    name = render_field(step.node, "name", step.context)
    step.input = {"name": name}
    has_come, body = step.worker.store.take_signal(step, name)
    if has_come:
        return Done(output=body)
    if step.state.get("is_due"):
        raise StepFailed(f"No signal {name} came in time.", code="expired", is_retryable=False)
    return Waits("signal", until=due_at(step), state={"signal": name, **kept_due(step)})


def due_at(step: StepWork) -> datetime | None:
    """When the step has waited long enough: counted from the first time it waited."""
    if kept := step.state.get("due_at"):
        return datetime.fromisoformat(kept)
    seconds = render_field(step.node, "due_seconds", step.context)
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


def kept_due(step: StepWork) -> dict[str, str]:
    """The due time as the step's state keeps it."""
    due = due_at(step)
    return {} if due is None else {"due_at": due.isoformat()}


def is_instant(step: StepWork) -> bool:
    """The database is asked."""
    return False

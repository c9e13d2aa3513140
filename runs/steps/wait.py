"""wait: so many seconds, or until a moment. Holds no thread, process or connection."""

from datetime import UTC, datetime, timedelta

from runs.work import Done, StepWork, Waits
from workflows.graph import render_field


def work(step: StepWork) -> Done | Waits:
    """Waits, then is done without an output."""
    if step.state.get("is_due"):
        return Done()
    now = datetime.now(UTC)
    until = now
    if (moment := render_field(step.node, "until", step.context)) is not None:
        until = datetime.fromisoformat(moment)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
    elif (seconds := render_field(step.node, "seconds", step.context)) is not None:
        until = now + timedelta(seconds=seconds)
    step.input = {"until": until.isoformat()}
    return Waits("timer", until=until) if until > now else Done()


def is_instant(step: StepWork) -> bool:
    """Only a time is computed."""
    return True

"""fail: ends its branch on purpose, with a message."""

from runs.work import Done, StepFailed, StepWork
from workflows.graph import render_field


def work(step: StepWork) -> Done:
    """Never succeeds, and is never repeated."""
    message = render_field(step.node, "message", step.context)
    raise StepFailed(message, code="failed_on_purpose", is_retryable=False)


def is_instant(step: StepWork) -> bool:
    """Nothing is waited for."""
    return True

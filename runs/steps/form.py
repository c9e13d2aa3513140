"""form: waits for a person's answers, checked by the form's schema when they are given."""

from runs.steps.signal import due_at, kept_due
from runs.work import Done, StepFailed, StepWork, Waits
from workflows.graph import render_field


def work(step: StepWork) -> Done | Waits:
    """The answers; fails `expired` where nobody answered in time."""
    title = render_field(step.node, "title", step.context)
    step.input = {"title": title, "schema": step.node.fields["schema"]}
    if "answers" in step.state:
        return Done(output=step.state["answers"])
    if step.state.get("is_due"):
        raise StepFailed("Nobody answered in time.", code="expired", is_retryable=False)
    return Waits("form", until=due_at(step), state={"title": title, **kept_due(step)})


def is_instant(step: StepWork) -> bool:
    """Nothing outside is asked."""
    return True

"""loop: the body again and again, as long as its condition holds."""

from runs.rows import Spawn
from runs.steps.map import due_at, refuse_failed
from runs.work import Done, StepFailed, StepWork, Waits


def work(step: StepWork) -> Done | Waits:
    """One more pass, or the output of the last one. `while` sees `index`, from 0, and `previous`,
    null at first. Fails `pass_failed` with the body, and `max_iterations` at the bound."""
    if step.state.get("resumed"):
        refuse_failed(step, "pass")
    index, previous = step.state.get("done", 0), step.state.get("previous")
    words = {"index": index, "previous": previous}
    if not step.node.conditions[0].evaluate({**step.context, **words}):
        return Done(output=previous)
    most = step.node.fields["max_iterations"]
    if index >= most:
        message = f"The condition still held after {most} passes."
        raise StepFailed(message, code="max_iterations", is_retryable=False)
    spawn = Spawn([words], first=index)
    until = step.state.get("until") or ((due := due_at(step)) and due.isoformat())
    state = {**spawn.counts(allow=0), "until": until}
    return Waits("items", until=until, state=state, spawn=spawn)


def is_instant(step: StepWork) -> bool:
    """Expressions have a budget: they never take long."""
    return True

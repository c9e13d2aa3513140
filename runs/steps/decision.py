"""decision: the first case whose condition holds names the next step."""

from runs.work import Done, StepWork
from workflows.graph import choose


def work(step: StepWork) -> Done:
    """{to}: the target of the first true case, else the default, which may be null."""
    return Done(output={"to": choose(step.node, step.context)})


def is_instant(step: StepWork) -> bool:
    """Expressions have a budget: they never take long."""
    return True

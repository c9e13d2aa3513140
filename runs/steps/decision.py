"""decision: the first case whose condition holds names the next step."""

from runs.work import Done, StepWork


def work(step: StepWork) -> Done:
    """{to}: the target of the first true case, else the default, which may be null."""
    for case, condition in zip(step.node.fields["cases"], step.node.conditions, strict=True):
        if condition.evaluate(step.context):
            return Done(output={"to": case["to"]})
    return Done(output={"to": step.node.fields.get("default")})


def is_instant(step: StepWork) -> bool:
    """Expressions have a budget: they never take long."""
    return True

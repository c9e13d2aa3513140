"""transform: an object made from expressions."""

from runs.work import Done, StepWork


def work(step: StepWork) -> Done:
    """The `set` object with its expressions filled in."""
    return Done(output=step.render("set"))

"""The kinds of step, a folder of equals: each module does the work of one kind.

A module has `work(step)` for the thread pool, `work_async(step)` for the event loop, or both, and
`is_instant(step)`: whether `work` is over in microseconds and touches nothing outside.
"""

from functools import cache
from importlib import import_module
from types import ModuleType

KINDS = {
    "tool": "runs.steps.tool",
    "agent": "runs.steps.agent",
    "transform": "runs.steps.transform",
    "decision": "runs.steps.decision",
    "fail": "runs.steps.fail",
    "wait": "runs.steps.wait",
    "signal": "runs.steps.signal",
    "form": "runs.steps.form",
    "approval": "runs.steps.approval",
    "map": "runs.steps.map",
    "loop": "runs.steps.loop",
    "workflow": "runs.steps.workflow",
}


@cache
def kind_module(kind: str) -> ModuleType:
    """The module of a kind, loaded when first used."""
    return import_module(KINDS[kind])

"""map: the body once for each item of a list, so many at a time; the outputs in order."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runs.placing import scope_path
from runs.rows import Spawn
from runs.states import Relation
from runs.work import Done, StepFailed, StepWork, Waits
from workflows.graph import render_field

LARGEST_SHOWN_LIST = 200


def work(step: StepWork) -> Done | Waits:
    """Opens the first items, and when all have ended, gathers their outputs: a failed one is null.
    Fails `item_failed` where more items failed than may, `timeout` where they took too long."""
    if step.state.get("resumed"):
        return gathered(step)
    items = render_field(step.node, "over", step.context)
    allow = render_field(step.node, "allow_failures", step.context)
    window = render_field(step.node, "max_concurrency", step.context)
    step.input = {"items": len(items), "max_concurrency": window, "allow_failures": allow}
    if len(items) <= LARGEST_SHOWN_LIST:
        step.input["over"] = items
    words = [{"item": item, "index": index} for index, item in enumerate(items)]
    spawn = Spawn(words, window=window, kept=kept(step, words))
    if not spawn.indexes():
        return Done(output=[spawn.kept[index] for index in range(len(items))])
    return Waits("items", until=due_at(step), state=spawn.counts(allow), spawn=spawn)


def due_at(step: StepWork) -> datetime | None:
    """When its timeout is over."""
    seconds = step.node.timeout_seconds
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)


def kept(step: StepWork, words: list[dict[str, Any]]) -> dict[int, Any]:
    """Outputs of the same items from the run that is retried."""
    if step.run.relation != Relation.RETRY or not words:
        return {}
    rows = step.worker.store.kept_items(step, scope_path(step.path, step.node.id))
    before = {row["index"]: row for row in rows}
    return {
        index: before[index]["output"]
        for index, word in enumerate(words)
        if index in before and before[index]["words"] == word
    }


def gathered(step: StepWork) -> Done:
    """What the items came to."""
    refuse_failed(step, "item")
    rows = step.worker.store.scope_results(step)
    return Done(output=[row["output"] if row["status"] == "done" else None for row in rows])


def refuse_failed(step: StepWork, noun: str) -> None:
    """StepFailed where bodies failed, or are still open past the timeout."""
    state = step.state
    if state["open"]:
        message = f"It took longer than its timeout; {state['done']} of {state['total']} were done."
        raise StepFailed(message, code="timeout", is_retryable=False)
    if state["failed"] > state["allow"]:
        error = state["error"]
        message = f"{noun.capitalize()} {error['index']} failed: {error.get('message', '')}"
        raise StepFailed(message, code=f"{noun}_failed", is_retryable=False, details=error)


def is_instant(step: StepWork) -> bool:
    """Items are read from the database, or may be many."""
    return False

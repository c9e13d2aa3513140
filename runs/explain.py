"""One true sentence on why a run stands where it stands. Pure: takes values, knows no clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MOST_NAMES = 3


@dataclass(slots=True)
class OpenStep:
    """A step that has begun, or may, and has not ended."""

    name: str
    status: str
    reason: str = ""
    attempt: int = 0
    crash_count: int = 0
    wake_at: datetime | None = None
    # What went wrong, in words.
    error: str = ""
    # The name of the signal or the title of the form it waits for; the tool whose call is in doubt
    # or whose rate limit is reached; the workflow of the run it waits for, and how that stands.
    what: str = ""
    # What it asks people: {assignees, quorum, approved, due_at}.
    approval: Mapping[str, Any] | None = None
    # Of a ready step: who could take it.
    queue: "QueueFacts | None" = None


@dataclass(slots=True)
class QueueFacts:
    """What stands between a ready step and a worker. `ahead` is counted up to `counted_to`."""

    ahead: int = 0
    counted_to: int = 0
    workers: int | None = None
    free: int = 0
    agent: str = ""


@dataclass(slots=True)
class Moment:
    """What is known of a run at this moment, besides its row: some of its open steps, and how many
    there are of each status."""

    steps: Sequence[OpenStep] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    # Who froze its project or environment, when and why; empty where nobody did.
    frozen: str = ""

    def of(self, *statuses: str) -> list[OpenStep]:
        """The known steps of some statuses, by the order of these."""
        steps = [step for step in self.steps if step.status in statuses]
        return sorted(steps, key=lambda step: statuses.index(step.status))

    def count(self, *statuses: str) -> int:
        """How many there are of some statuses."""
        return sum(self.counts.get(status, 0) for status in statuses)


NOTHING = Moment()


def explain(
    status: str,
    *,
    error: Mapping[str, Any] | None = None,
    reason: str = "",
    moment: Moment = NOTHING,
) -> str:
    """The sentence."""
    if status == "queued" and reason == "concurrency":
        return "Queued: as many runs of its workflow are at work as may be at once."
    if status == "paused" and reason == "frozen":
        return _frozen(moment)
    if status in LIVE:
        return LIVE[status](moment)
    if status in ("failed", "timed_out"):
        where = f"{error['node']}: " if error and error.get("node") else ""
        return f"{where}{error['message']}" if error and error.get("message") else reason
    if status == "cancelled" and error and error.get("message"):
        return f"Cancelled: {error['message']}"
    return {"succeeded": "Finished.", "cancelled": "Cancelled."}.get(status, "")


def _queued(moment: Moment) -> str:
    ready = moment.of("ready")
    return f"Queued: {_why_not_taken(ready[0].queue if ready else None)}."


def _why_not_taken(queue: QueueFacts | None) -> str:
    if queue is None or queue.workers is None:
        return "waiting for a free worker"
    if queue.workers == 0 and queue.agent:
        return f"no instance of {queue.agent} is alive to take it"
    if queue.workers == 0:
        return "no worker is alive to take it"
    if queue.ahead:
        more = "at least " if queue.ahead >= queue.counted_to else ""
        others = "other step" if queue.ahead == 1 else "other steps"
        return f"behind {more}{queue.ahead:,} {others}; {_workers(queue)}"
    if queue.free > 0:
        return "about to be taken by a worker"
    return f"next in line; {_workers(queue)} and busy"


def _workers(queue: QueueFacts) -> str:
    what = f"instance of {queue.agent}" if queue.agent else "worker"
    if queue.workers == 1:
        return f"1 {what} is alive"
    what = f"instances of {queue.agent}" if queue.agent else "workers"
    return f"{queue.workers:,} {what} are alive"


def _running(moment: Moment) -> str:
    if working := _names(moment, "running"):
        return f"Working on {working}."
    ready = moment.of("ready")
    return f"{ready[0].name} is ready: {_why_not_taken(ready[0].queue)}." if ready else "Running."


def _waiting(moment: Moment) -> str:
    waits = moment.of("parked", "waiting")
    if not waits:
        return "Waiting."
    # A map or a loop waits because something in it does.
    waits.sort(key=lambda step: step.reason == "items")
    others = moment.count("parked", "waiting") - 1
    what = "step waits" if others == 1 else "steps wait"
    return _wait(waits[0]) + (f" {others:,} other {what} too." if others > 0 else "")


def _wait(step: OpenStep) -> str:
    """One sentence on what one step waits for."""
    if step.status == "parked":
        return f"{step.name} is parked: {_crashes(step.crash_count)}; replay or cancel it."
    words = WAITS.get(step.reason)
    return f"{step.name} {words(step) if words else 'waits' + _until(step.wake_at)}."


def _crashes(count: int) -> str:
    times = {1: "once", 2: "twice", 3: "three times"}.get(count, f"{count} times")
    return f"its worker died {times} on it"


def _backoff(step: OpenStep) -> str:
    why = step.error.rstrip(".")
    tried = f" ({why})" if why else ""
    return (
        f"failed{tried} and is tried again{_until(step.wake_at, 'at')}, for try {step.attempt + 1}"
    )


def _approval(step: OpenStep) -> str:
    facts = step.approval or {}
    people = list(facts.get("assignees") or ())
    whom = _some(people, len(people)) or "anybody who may approve"
    quorum, approved = facts.get("quorum") or 1, facts.get("approved") or 0
    votes = f" ({approved} of {quorum} so far)" if quorum > 1 else ""
    return f"waits for an approval by {whom}{votes}{_until(facts.get('due_at'), 'due')}"


def _reconcile(step: OpenStep) -> str:
    call = f"called {step.what}" if step.what else "made its call"
    return f"may or may not have {call}; a person must say so under Reconcile"


def _signal(step: OpenStep) -> str:
    which = f"the signal {step.what}" if step.what else "a signal"
    return f"waits for {which}{_until(step.wake_at)}"


def _form(step: OpenStep) -> str:
    title = f" to “{step.what}”" if step.what else ""
    return f"waits for somebody's answers{title}{_until(step.wake_at)}"


def _rate_limited(step: OpenStep) -> str:
    tool = f" of {step.what}" if step.what else ""
    return f"waits for its place under the rate limit{tool}{_until(step.wake_at)}"


WAITS: Mapping[str, Callable[[OpenStep], str]] = {
    "backoff": _backoff,
    "approval": _approval,
    "reconcile": _reconcile,
    "signal": _signal,
    "form": _form,
    "rate_limited": _rate_limited,
    "frozen": lambda step: "waits until its project and environment are thawed",
    "checking": lambda step: (
        f"may or may not have {f'called {step.what}' if step.what else 'made its call'}; the "
        f"tool's check is asked{_until(step.wake_at, 'at')}"
    ),
    "timer": lambda step: f"waits{_until(step.wake_at)}",
    "items": lambda step: "works through its items",
    "child": lambda step: (
        f"waits for a run of {step.what}" if step.what else "waits for another run"
    ),
}


def _paused(moment: Moment) -> str:
    working = _names(moment, "running")
    end = f"{working} may finish, nothing new starts" if working else "nothing new starts"
    return f"Paused: {end} until it is resumed."


def _frozen(moment: Moment) -> str:
    working = _names(moment, "running")
    end = f"{working} may finish its call, nothing new starts" if working else "nothing starts"
    who = moment.frozen.rstrip(".") or "frozen a moment ago"
    return f"{who[:1].upper()}{who[1:]}: {end} until it is thawed."


def _cancelling(moment: Moment) -> str:
    count = moment.count("running")
    names = _names(moment, "running") or "its running steps"
    return f"Stopping: {names} {'is' if count == 1 else 'are'} told to stop."


LIVE: Mapping[str, Callable[[Moment], str]] = {
    "queued": _queued,
    "running": _running,
    "waiting": _waiting,
    "paused": _paused,
    "cancelling": _cancelling,
}


def _names(moment: Moment, status: str) -> str:
    return _some([step.name for step in moment.of(status)], moment.count(status))


def _some(names: Sequence[str], count: int) -> str:
    """A, B, C and 4 more."""
    shown = list(names[:MOST_NAMES])
    more = max(count, len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if shown and more > 0 else "")


def _until(at: datetime | None, word: str = "until") -> str:
    """A moment in words; nothing where there is none."""
    if at is None:
        return ""
    return f"{',' if word == 'due' else ''} {word} {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

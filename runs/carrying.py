"""What a retry or a fork keeps of an earlier run: ended steps, how their edges were decided, the
keys of their calls, the agent."""

from collections.abc import Iterable, Mapping
from typing import Any

from agents.models import Agent
from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import uuid7
from runs.models import Run, Step
from runs.states import Relation, StepStatus
from workflows.graph import Graph

KEPT = (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
# Runs of these relations keep steps of their parent.
GOES_ON = (Relation.RETRY, Relation.FORK)


def carried(run: Run, graph: Graph, start_from: str) -> dict[str, dict[str, Any]]:
    """The ended steps that are kept, by node: those that succeeded or were skipped and do not lie
    behind ones that are done again. `start_from` is "failed", "start" or a node."""
    if start_from == "start":
        return {}
    steps = {s.node: s for s in Step.objects.filter(run=run, path="")}
    again = {node for node, step in steps.items() if step.status not in KEPT}
    if start_from == "failed":
        if not again:
            raise DomainError(
                "No step of this run failed; do it again from the start.", code="nothing_failed"
            )
    elif start_from not in steps:
        raise InvalidInput.of("from", f"There is no step {start_from}.", "does_not_exist")
    elif steps[start_from].status == StepStatus.SKIPPED:
        message = f"{start_from} was skipped; choose a step before it."
        raise InvalidInput.of("from", message, "skipped")
    else:
        again.add(start_from)
    again |= _behind(graph, again)
    return {
        node: {
            "status": step.status,
            "output": step.output,
            "started_at": step.started_at,
            "ended_at": step.ended_at,
            "edges": _edges_taken(graph, run, step),
        }
        for node, step in steps.items()
        if node not in again
    }


def _behind(graph: Graph, nodes: Iterable[str]) -> set[str]:
    found: set[str] = set()
    open_ends = list(nodes)
    while open_ends:
        for edge in graph.out[open_ends.pop()]:
            if edge.target not in found:
                found.add(edge.target)
                open_ends.append(edge.target)
    return found


def _edges_taken(graph: Graph, run: Run, step: Step) -> list[bool]:
    """The outcome of each edge out of a kept step, as it was decided by the run that did it."""
    none = [False] * len(graph.out[step.node])
    if step.status == StepStatus.SKIPPED or not none:
        return none
    while step.edges is None and run.relation in GOES_ON and run.parent is not None:
        run = run.parent
        step = Step.objects.get(run=run, path=step.path, node=step.node)
    if step.edges is None:
        raise DomainError(
            "The runs this one goes on from are gone; retry it from the start.", code="parent_gone"
        )
    return step.edges


def key_bases(run: Run, graph: Graph, kept: Mapping[str, Any], *, is_fork: bool) -> dict[str, str]:
    """Node → what the idempotency keys of its calls are made of, where that is not the root run's
    id. A step that has not succeeded keeps its keys in a retry; in a fork, and where a step is done
    again on purpose, they are new."""
    before = run.pins.get("keys", {})
    done = set(
        Step.objects.filter(run=run, path="", status__in=KEPT).values_list("node", flat=True)
    )
    fresh = str(uuid7())
    again = [node for node in graph.nodes if node not in kept]
    return {
        node: fresh if is_fork or node in done else before[node]
        for node in again
        if is_fork or node in done or node in before
    }


def agent_override(pins: Mapping[str, Any]) -> Agent | None:
    """The agent that took the place of those the graph names."""
    pinned = pins.get("agents", {})
    ids = {each["agent"] for each in pinned.values()}
    agent = Agent.objects.filter(pk=ids.pop()).first() if len(ids) == 1 else None
    return agent if agent is not None and agent.slug not in pinned else None

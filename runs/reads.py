"""Reads of a run's parts that join apps to the left: calls by step, events, logs."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, IntegerField, QuerySet, When

from agents.models import ModelCall
from controlplane.kit.json import money
from controlplane.kit.models import Event
from runs.models import LogLine, Run, Step
from tools.models import ToolCall

EVENTS_A_PAGE = 1_000


def calls_of(steps: Iterable[Step]) -> dict[UUID, list[dict[str, Any]]]:
    """Step id → its tool and model calls in order of time; two queries."""
    ids = [s.pk for s in steps]
    found: list[tuple[Any, UUID, dict[str, Any]]] = []
    for tool_call in ToolCall.objects.filter(step_id__in=ids).select_related("tool"):
        found.append(
            (
                tool_call.started_at,
                tool_call.step_id,
                {
                    "kind": "tool",
                    "name": tool_call.tool.slug,
                    "status": tool_call.state,
                    "latency_ms": tool_call.latency_ms,
                    "cost": money(tool_call.cost),
                },
            )
        )
    for model_call in ModelCall.objects.filter(step_id__in=ids):
        found.append(
            (
                model_call.started_at,
                model_call.step_id,
                {
                    "kind": "model",
                    "name": model_call.model,
                    "status": model_call.state,
                    "latency_ms": model_call.latency_ms,
                    "cost": money(model_call.cost),
                    "input_tokens": model_call.input_tokens,
                    "output_tokens": model_call.output_tokens,
                    "first_token_ms": model_call.first_token_ms,
                    "price_status": model_call.price_status,
                    "turn": model_call.turn,
                },
            )
        )
    by_step: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for _, step_id, call in sorted(found, key=lambda item: item[0]):
        by_step[step_id].append(call)
    return by_step


def steps_in_order(run: Run) -> QuerySet[Step]:
    """Those of the top by their place in the graph, then those of bodies, item by item: their ids
    grow as they begin to exist."""
    is_body = Case(When(path="", then=0), default=1, output_field=IntegerField())
    place = Case(When(path="", then="position"), default=0, output_field=IntegerField())
    return run.steps.annotate(is_body=is_body, place=place).order_by("is_body", "place", "id")


def steps_shown(run: Run, most: int) -> list[Step]:
    """Steps for the timeline, without payloads: those of the top by their place in the graph, then
    those of bodies as they began to exist, item by item. Of more than `most` those that failed or
    are at work come before others."""
    rank = Case(
        When(path="", then=0),
        When(status__in=("failed", "running", "waiting", "parked"), then=1),
        default=2,
        output_field=IntegerField(),
    )
    rows = run.steps.defer("input", "output", "state", "error", "edges")
    chosen = list(rows.annotate(rank=rank).order_by("rank", "position", "id")[:most])
    top = [step for step in chosen if not step.path]
    return top + sorted((step for step in chosen if step.path), key=lambda step: step.pk)


def step_counts(run: Run) -> Counter[str]:
    """How many steps of a run there are of each status."""
    return Counter(dict(run.steps.order_by().values_list("status").annotate(n=Count("pk"))))


def events_of(run: Run, after: int) -> list[dict[str, Any]]:
    """A page of the run's history: the same rows as on the socket."""
    rows = Event.objects.filter(subject_id=run.pk, seq__gt=after).order_by("seq")
    return [
        {"seq": e.seq, "at": e.at, "type": e.type, "step": e.step_id, "data": e.data}
        for e in rows[:EVENTS_A_PAGE]
    ]


def logs_of(
    run: Run,
    *,
    after: int = 0,
    levels: list[str] | None = None,
    step: UUID | None = None,
    search: str = "",
) -> QuerySet[LogLine]:
    """Log lines in order, narrowed."""
    rows = LogLine.objects.filter(run=run, seq__gt=after).order_by("seq")
    if levels:
        rows = rows.filter(level__in=levels)
    if step:
        rows = rows.filter(step_id=step)
    if search:
        rows = rows.filter(message__icontains=search)
    return rows

"""Rows of the past: runs, steps and calls at times of one's choosing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, ModelCall
from controlplane.kit.ids import uuid7
from runs.models import Run, Step
from tools.models import Tool, ToolCall

# A Wednesday.
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.fixture
def past_run(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """`past_run(days=1, seconds=2.0, status="failed", …)`: a run that began so many days before
    noon, ended after so many seconds (None: not)."""

    def make(*, days: float = 1, seconds: float | None = 1.0, **fields: Any) -> Run:
        at = NOON - timedelta(days=days)
        ended = None if seconds is None else at + timedelta(seconds=seconds)
        return make_run(created_at=at, started_at=at, ended_at=ended, **fields)

    return make


@pytest.fixture
def past_step() -> Callable[..., Step]:
    """`past_step(run, node="a", agent=…, seconds=1.0, after=0.0, …)` of a run."""

    def make(
        run: Run, *, node: str = "a", agent: Agent | None = None, seconds: float = 1.0,
        after: float = 0.0, **fields: Any,
    ) -> Step:  # fmt: skip
        started = run.created_at + timedelta(seconds=after)
        return Step.objects.create(
            **{
                "run": run, "node": node, "name": node.upper(), "status": "succeeded",
                "kind": "agent" if agent else "tool", "agent_id": agent.pk if agent else None,
                "attempt": 1,
                "started_at": started, "ended_at": started + timedelta(seconds=seconds), **fields,
            }
        )  # fmt: skip

    return make


@pytest.fixture
def past_call() -> Callable[..., ModelCall]:
    """`past_call(agent, days=1, cost="0.5", run=…, …)`; a cost of None has no price."""

    def make(
        agent: Agent, *, days: float = 1, cost: str | None = "0.5", run: Run | None = None,
        **fields: Any,
    ) -> ModelCall:  # fmt: skip
        facts = {
            "id": uuid7(), "project": agent.project, "agent": agent,
            "agent_version": agent.current, "provider": "openai", "model": "small",
            "state": "succeeded", "input_tokens": 100, "output_tokens": 10, "latency_ms": 50.0,
            "cost": None if cost is None else Decimal(cost),
            "price_status": "unpriced" if cost is None else "priced",
            "started_at": NOON - timedelta(days=days),
        }  # fmt: skip
        if run is not None:
            facts |= {
                "run_id": run.pk, "workflow_id": run.workflow_id,
                "environment_id": run.environment_id,
            }  # fmt: skip
        return ModelCall.objects.create(**facts | fields)

    return make


@pytest.fixture
def past_tool_call() -> Callable[..., ToolCall]:
    """`past_tool_call(tool, cost="0.1", run=…)`, the day before noon."""

    def make(tool: Tool, *, cost: str | None, run: Run | None = None) -> ToolCall:
        return ToolCall.objects.create(
            id=uuid7(), project=tool.project, tool=tool, tool_version=tool.current,
            run_id=run.pk if run else None, workflow_id=run.workflow_id if run else None,
            state="succeeded", latency_ms=3.0, cost=None if cost is None else Decimal(cost),
            started_at=NOON - timedelta(days=1),
        )  # fmt: skip

    return make

"""GET /tools/{id}/usage: figures from the calls themselves."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from controlplane.kit.ids import uuid7
from tools.models import ToolCall

URL = "/api/v1/tools"
PERIOD = "from=2026-03-01T00:00:00Z&to=2026-03-08T00:00:00Z"


@pytest.fixture
def calls(make_tool):
    """A tool called on two days by one agent, and once outside the period."""
    tool, agent = make_tool(), uuid7()

    def called(day, ms, error="", cost=None, **more):
        ToolCall.objects.create(
            id=uuid7(),
            project_id=tool.project_id,
            tool=tool,
            tool_version=tool.current,
            state="failed" if error else "succeeded",
            error_code=error,
            latency_ms=ms,
            cost=cost,
            started_at=datetime(2026, 3, day, 12, tzinfo=UTC),
            **more,
        )

    called(2, 10, cost=Decimal("0.5"), agent_id=agent)
    called(2, 20, error="timeout")
    called(3, 30, cost=Decimal("0.25"), agent_id=agent)
    called(20, 999)
    return tool, agent


def test_usage_counts_the_calls_of_the_period(api, calls):
    tool, agent = calls
    found = api.get(f"{URL}/{tool.pk}/usage?{PERIOD}").json()
    assert found["totals"] == {"calls": 3, "errors": 1, "p50_ms": 20, "p95_ms": 29, "cost": "0.75"}
    assert [(day["at"][:10], day["calls"], day["cost"]) for day in found["days"]] == [
        ("2026-03-02", 2, "0.5"),
        ("2026-03-03", 1, "0.25"),
    ]
    assert found["agents"] == [
        {"agent": str(agent), "calls": 2, "errors": 0, "p50_ms": 20, "p95_ms": 29, "cost": "0.75"}
    ]
    assert found["workflows"] == []
    assert found["errors"] == [{"code": "timeout", "calls": 1}]


def test_usage_of_a_tool_never_called(api, make_tool):
    found = api.get(f"{URL}/{make_tool().pk}/usage").json()
    assert found["totals"] == {
        "calls": 0,
        "errors": 0,
        "p50_ms": None,
        "p95_ms": None,
        "cost": None,
    }
    assert found["days"] == []


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "to=2026-13-01",
        "from=2026-03-02&to=2026-03-01",
        "from=2020-01-01&to=2026-01-01",
    ],
)
def test_a_bad_period_is_422(api, make_tool, query):
    assert api.get(f"{URL}/{make_tool().pk}/usage?{query}").status_code == 422


def test_a_day_is_enough(api, calls):
    tool, _ = calls
    found = api.get(f"{URL}/{tool.pk}/usage?from=2026-03-01&to=2026-03-03").json()
    assert found["totals"]["calls"] == 2

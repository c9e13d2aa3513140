"""Health and metrics of an agent, read from real rows."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from agents import instances
from agents.models import Instance, ModelCall
from agents.wellbeing import health
from controlplane.kit.ids import uuid7

pytestmark = pytest.mark.django_db


@pytest.fixture
def call(agent):
    def made(**fields):
        facts = {
            "id": uuid7(),
            "project": agent.project,
            "agent": agent,
            "agent_version": agent.current,
            "provider": "openai",
            "model": "m",
            "state": "succeeded",
            "input_tokens": 100,
            "output_tokens": 10,
            "latency_ms": 50.0,
            "cost": Decimal("0.01"),
            "price_status": "priced",
            "started_at": timezone.now(),
        }
        return ModelCall.objects.create(**{**facts, **fields})

    return made


def marks(agent):
    found = health(agent)
    return found["status"], {fact["name"]: fact["status"] for fact in found["facts"]}


def test_a_new_agent_is_idle_and_its_configuration_is_probed(api, vic, agent):
    data = api(vic).get(f"/agents/{agent.pk}/health").data
    assert data["status"] == "idle"
    assert [(f["name"], f["status"]) for f in data["facts"]] == [
        ("liveness", "unknown"),
        ("readiness", "unknown"),
        ("probe", "ok"),
        ("outcome", "unknown"),
    ]


def test_calls_that_go_well_make_it_healthy_failing_ones_unhealthy(agent, call):
    call()
    assert marks(agent)[0] == "healthy"
    for _ in range(9):
        call(state="failed", error_code="overloaded")
    assert marks(agent) == (
        "unhealthy",
        {"liveness": "unknown", "readiness": "unknown", "probe": "ok", "outcome": "failing"},
    )


def test_old_calls_say_nothing(agent, call):
    call(state="failed", error_code="auth", started_at=timezone.now() - timedelta(minutes=16))
    assert marks(agent)[0] == "idle"


def test_a_tool_that_is_gone_shows_in_the_probe(agent, make_tool):
    agent.current.config["tools"] = ["echo"]
    status, found = marks(agent)
    assert (status, found["probe"]) == ("unhealthy", "failing")
    make_tool(slug="echo")
    assert marks(agent)[1]["probe"] == "ok"


def test_outcomes_known_further_right_come_first(agent, call):
    call(state="failed", error_code="auth")
    assert health(agent, outcome=(10, 10, 5.0))["status"] == "healthy"


def test_instances_of_the_target_version_make_a_deployment_ready(agent, deploy):
    deployment = deploy("dev", desired=1)
    assert marks(agent)[0] == "unhealthy"
    worker = instances.register(host="h", pid=1, queue="d-1", capacity=4, deployment=deployment)
    assert marks(agent) == (
        "idle",
        {"liveness": "ok", "readiness": "ok", "probe": "ok", "outcome": "unknown"},
    )
    Instance.objects.filter(pk=worker).update(
        last_heartbeat_at=timezone.now() - timedelta(seconds=9)
    )
    assert marks(agent)[1]["liveness"] == "failing"


def test_metrics_come_in_buckets_without_gaps(api, vic, agent, call):
    now = timezone.now().replace(minute=30, second=0, microsecond=0)
    call(started_at=now - timedelta(hours=2), cost=Decimal("0.02"))
    call(started_at=now - timedelta(hours=2), cost=None, price_status="unpriced", latency_ms=150.0)
    call(started_at=now, state="failed", error_code="auth")
    query = {
        "from": (now - timedelta(hours=3)).isoformat(),
        "to": (now + timedelta(minutes=1)).isoformat(),
        "bucket": "hour",
    }
    data = api(vic).get(f"/agents/{agent.pk}/metrics", query).data
    assert [bucket["model_calls"] for bucket in data["buckets"]] == [0, 2, 0, 1]
    busy = data["buckets"][1]
    assert (busy["input_tokens"], busy["output_tokens"], busy["cost"]) == (200, 20, "0.02")
    assert (busy["unpriced_calls"], busy["call_p50_ms"]) == (1, 100.0)
    assert data["buckets"][0]["cost"] is None
    assert set(busy) >= {"at", "runs", "succeeded", "failed", "p50_ms", "p95_ms"}
    assert (data["totals"]["model_calls"], data["totals"]["failed_calls"]) == (3, 1)
    assert data["totals"]["cost"] == "0.03"


def test_days_begin_at_midnight_utc_whatever_zone_is_asked_in(api, vic, agent, call):
    call(started_at="2026-11-20T23:30:00Z")
    query = {
        "from": "2026-11-20T01:00:00+02:00",
        "to": "2026-11-21T02:00:00+02:00",
        "bucket": "day",
    }
    data = api(vic).get(f"/agents/{agent.pk}/metrics", query).data
    assert [(b["at"].isoformat(), b["model_calls"]) for b in data["buckets"]] == [
        ("2026-11-19T00:00:00+00:00", 0),
        ("2026-11-20T00:00:00+00:00", 1),
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bucket=week", "bucket"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("from=2020-01-01&bucket=hour", "from"),
    ],
)
def test_a_senseless_range_is_422(api, vic, agent, query, field):
    response = api(vic).get(f"/agents/{agent.pk}/metrics?{query}")
    assert (response.status_code, response.data["errors"][0]["field"]) == (422, field)

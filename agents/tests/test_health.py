"""Health: a pure judgement of four facts."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.health import Facts, InstanceFact, Objective, judge

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def instance(silent=1.0, **more):
    return InstanceFact(NOW - timedelta(seconds=silent), **more)


def facts(**more):
    calm = {
        "is_enabled": True,
        "is_deployed": True,
        "wanted_instances": 2,
        "instances": (instance(), instance()),
        "probe_fault": "",
        "ended": 20,
        "succeeded": 20,
        "p95_ms": 900.0,
    }
    return Facts(**{**calm, **more})


def judged(**more):
    status, findings = judge(facts(**more), NOW)
    return status, {finding.name: finding.mark for finding in findings}


def test_all_well_is_healthy():
    assert judged() == (
        "healthy",
        {"liveness": "ok", "readiness": "ok", "probe": "ok", "outcome": "ok"},
    )


def test_all_well_and_nothing_done_is_idle():
    assert judged(ended=0, succeeded=0)[0] == "idle"


@pytest.mark.parametrize(
    ("more", "status", "fact", "mark"),
    [
        ({"instances": ()}, "unhealthy", "liveness", "failing"),
        ({"instances": (instance(9), instance(9))}, "unhealthy", "liveness", "failing"),
        ({"instances": (instance(), instance(9))}, "degraded", "liveness", "warning"),
        (
            {"instances": (instance(), instance(is_on_target=False))},
            "degraded",
            "readiness",
            "warning",
        ),
        ({"instances": (instance(is_ready=False),) * 2}, "unhealthy", "readiness", "failing"),
        ({"probe_fault": "The secret is gone."}, "unhealthy", "probe", "failing"),
        ({"probe_fault": None}, "healthy", "probe", "unknown"),
        ({"succeeded": 18}, "degraded", "outcome", "warning"),
        ({"succeeded": 3}, "unhealthy", "outcome", "failing"),
        ({"ended": 2, "succeeded": 0}, "degraded", "outcome", "warning"),
        ({"objective": Objective(p95_ms=500)}, "degraded", "outcome", "warning"),
        ({"objective": Objective(success_rate=0.5), "succeeded": 11}, "healthy", "outcome", "ok"),
    ],
)
def test_one_fact_is_enough_to_say_so(more, status, fact, mark):
    found, marks = judged(**more)
    assert (found, marks[fact]) == (status, mark)


def test_in_the_shared_pool_no_instance_is_missed():
    status, marks = judged(is_deployed=False, wanted_instances=0, instances=())
    assert (status, marks["liveness"], marks["readiness"]) == ("healthy", "unknown", "unknown")


def test_an_agent_turned_off_is_idle_whatever_else():
    assert judged(is_enabled=False, instances=())[0] == "idle"


def test_a_heartbeat_is_fresh_to_the_very_threshold():
    assert judged(instances=(instance(8), instance(8)))[0] == "healthy"
    assert judged(instances=(instance(8.1), instance(8.1)))[0] == "unhealthy"

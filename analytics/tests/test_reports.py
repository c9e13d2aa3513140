"""Reports by their routes: counted, measured and added up from the rows."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from agents.models import Deployment, Instance
from analytics.tests.conftest import NOON
from governance.models import Approval
from projects.services import create_project
from runs.models import Run
from tests.support.cast import Api

WEEK = {"from": "2026-11-12T00:00:00Z", "to": "2026-11-19T00:00:00Z"}
NO_LENGTHS = dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms"))


@pytest.fixture
def report(vic):
    """`report("runs", **query)`: what a viewer is told of the week."""

    def ask(name, **query):
        answer = Api(vic).get(f"/analytics/{name}", {**WEEK, **query})
        assert answer.status_code == 200, answer.content
        return answer.json()

    return ask


def test_runs_are_counted_by_their_end(report, past_run):
    for status, seconds in (("succeeded", 1), ("succeeded", 3), ("failed", 8), ("timed_out", 20)):
        past_run(status=status, seconds=seconds)
    past_run(status="cancelled", seconds=99)
    past_run(status="running", seconds=None)
    found = report("runs")
    totals = found["totals"]
    assert (totals["runs"], totals["succeeded"], totals["failed"]) == (6, 2, 2)
    assert (totals["cancelled"], totals["unfinished"], totals["success_rate"]) == (1, 1, 0.5)
    # Of 1, 3, 8 and 20 seconds; who was cancelled took no length of its own.
    assert (totals["p50_ms"], totals["p99_ms"]) == (5500, 19640)
    assert {row["status"]: row["runs"] for row in found["statuses"]} == {
        "succeeded": 2, "failed": 1, "timed_out": 1, "cancelled": 1, "running": 1,
    }  # fmt: skip


def test_every_day_has_a_bucket(report, past_run):
    past_run(days=1)
    past_run(days=1.4)
    past_run(days=3, status="failed")
    buckets = report("runs")["buckets"]
    assert [b["at"][:10] for b in buckets] == [f"2026-11-{day}" for day in range(12, 19)]
    assert [b["runs"] for b in buckets] == [0, 0, 0, 1, 0, 2, 0]
    assert buckets[0] == {
        "at": "2026-11-12T00:00:00Z", "runs": 0, "succeeded": 0, "failed": 0, "cancelled": 0,
        "unfinished": 0, "success_rate": None, **NO_LENGTHS,
    }  # fmt: skip


def test_hours_are_those_of_utc(report, past_run):
    past_run(days=0)
    query = {"from": "2026-11-18T10:30:00Z", "to": "2026-11-18T13:00:00Z", "bucket": "hour"}
    buckets = report("runs", **query)["buckets"]
    assert [(b["at"][11:13], b["runs"]) for b in buckets] == [("10", 0), ("11", 0), ("12", 1)]


def test_the_end_of_the_range_is_outside_of_it(report, past_run):
    past_run(days=0)
    at = NOON.isoformat()
    assert report("runs", to=at)["totals"]["runs"] == 0
    assert report("runs", **{"from": at})["totals"]["runs"] == 1


def test_runs_by_workflow_and_environment(report, past_run, make_workflow):
    one, two = make_workflow(slug="one"), make_workflow(slug="two")
    past_run(workflow=one)
    past_run(workflow=one, environment="prod", status="failed")
    past_run(workflow=two)
    found = report("runs")
    assert [(w["name"], w["runs"], w["failed"]) for w in found["workflows"]] == [
        ("One", 2, 1),
        ("Two", 1, 0),
    ]
    assert [(e["name"], e["runs"]) for e in found["environments"]] == [("dev", 2), ("prod", 1)]
    prod = report("runs", environment="prod")
    assert (prod["totals"]["runs"], len(prod["workflows"])) == (1, 1)
    assert report("runs", environment=["prod", "dev"])["totals"]["runs"] == 3
    assert report("runs", environment="nowhere")["totals"]["runs"] == 0


def test_costs_are_those_of_calls_and_what_has_no_price_is_apart(
    report, past_call, past_run, make_agent
):
    clerk, judge = make_agent(slug="clerk"), make_agent(slug="judge")
    run = past_run()
    past_call(clerk, cost="0.25", run=run)
    past_call(clerk, cost="0.5", days=3)
    past_call(judge, cost=None, model="house", input_tokens=70, output_tokens=7)
    past_call(judge, cost="0", price_status="free", model="local")
    found = report("costs")
    assert found["totals"] == {
        "cost": "0.75", "model_calls": 4, "unpriced_calls": 1, "input_tokens": 370,
        "output_tokens": 37, "unpriced_tokens": 77,
    }  # fmt: skip
    assert [(a["name"], a["cost"], a["unpriced_calls"]) for a in found["agents"]] == [
        ("Clerk", "0.75", 0),
        ("Judge", "0", 1),
    ]
    assert {(m["model"], m["cost"]) for m in found["models"]} == {
        ("small", "0.75"), ("house", None), ("local", "0"),
    }  # fmt: skip
    assert [(w["name"], w["cost"]) for w in found["workflows"]] == [("Run-Of", "0.25")]
    assert [b["cost"] for b in found["buckets"]] == [None, None, None, "0.5", None, "0.25", None]
    assert found["projects"][0]["name"] == "Northwind"


def test_nothing_priced_is_no_cost_of_zero(report, past_call, make_agent):
    past_call(make_agent(), cost=None)
    found = report("costs")
    assert (found["totals"]["cost"], found["totals"]["unpriced_calls"]) == (None, 1)
    assert report("overview")["figures"]["cost"]["value"] is None
    assert report("overview")["figures"]["unpriced_calls"]["value"] == 1


def test_tools_with_a_price_count(report, past_tool_call, past_run, make_tool):
    tool = make_tool()
    past_tool_call(tool, cost="0.125", run=past_run(environment="prod"))
    past_tool_call(tool, cost=None)
    found = report("costs")
    assert (found["totals"]["cost"], found["totals"]["model_calls"]) == ("0.125", 0)
    assert [(t["name"], t["cost"]) for t in found["tools"]] == [("Echo", "0.125")]
    assert report("costs", environment="prod")["totals"]["cost"] == "0.125"
    assert report("costs", environment="dev")["totals"]["cost"] is None


def test_other_currencies_are_never_added(report, past_call, make_agent):
    agent = make_agent()
    past_call(agent, cost="1")
    past_call(agent, cost="9", currency="NOK")
    found = report("costs")
    assert found["totals"]["cost"] == "1"
    assert found["other_currencies"] == [{"currency": "NOK", "cost": "9"}]
    assert report("overview")["figures"]["cost"]["value"] == "1"


def test_the_forecast_goes_on_as_the_last_week(report, past_call, make_agent):
    agent = make_agent()
    past_call(agent, days=10, cost="5")
    past_call(agent, days=2, cost="7")
    past_call(agent, days=20, cost="100")  # October
    with time_machine.travel(NOON, tick=False):
        found = report("costs", to=NOON.isoformat())["forecast"]
    # 12 spent, one a day for the 12 and a half days that are left.
    assert found == {"month": "2026-11", "spent": "12", "expected": "24.5"}


def test_figures_are_set_against_the_period_before(report, past_run, past_call, make_agent):
    for _ in range(3):
        past_run(days=1)
    past_run(days=1, status="failed")
    past_run(days=8)
    past_run(days=8, status="failed")
    agent = make_agent()
    past_call(agent, days=1, cost="3")
    past_call(agent, days=8, cost="2")
    figures = report("overview")["figures"]
    assert figures["runs"] == {"value": 4, "before": 2, "change": 1.0}
    assert figures["success_rate"] == {"value": 0.75, "before": 0.5, "change": 0.25}
    assert figures["cost"] == {"value": "3", "before": "2", "change": 0.5}
    assert figures["failed"]["change"] == 0.0


def test_against_nothing_there_is_no_change(report, past_run):
    past_run()
    assert report("overview")["figures"]["runs"] == {"value": 1, "before": 0, "change": None}


def test_agents_are_active_where_a_step_of_theirs_began(report, past_run, past_step, make_agent):
    one, two = make_agent(slug="one"), make_agent(slug="two")
    make_agent(slug="idle")
    past_step(past_run(environment="prod"), agent=one)
    past_step(past_run(days=8), agent=one)
    past_step(past_run(days=8), agent=two)
    assert report("overview")["figures"]["active_agents"] == {
        "value": 1, "before": 2, "change": -0.5,
    }  # fmt: skip
    dev = report("overview", environment="dev")["figures"]["active_agents"]
    assert (dev["value"], dev["before"]) == (0, 2)


def test_approvals_that_waited_at_the_end_of_each_period(report, project):
    def approval(created, decided=None):
        Approval.objects.create(
            project=project, subject="call", title="?", action_sha256="0" * 64,
            status="approved" if decided else "pending", created_at=created, decided_at=decided,
        )  # fmt: skip

    approval(NOON - timedelta(days=1))
    approval(NOON - timedelta(days=10))
    approval(NOON - timedelta(days=10), decided=NOON - timedelta(days=2))
    approval(NOON - timedelta(days=10), decided=NOON - timedelta(days=9))
    found = report("overview")["figures"]["pending_approvals"]
    assert (found["value"], found["before"]) == (2, 2)


def test_what_an_agent_did(report, past_run, past_step, past_call, make_agent):
    agent = make_agent()
    well, badly, both = past_run(), past_run(), past_run()
    past_step(well, agent=agent, seconds=1)
    past_step(badly, agent=agent, seconds=3, status="failed")
    past_step(both, agent=agent, seconds=2)
    past_step(both, agent=agent, node="b", status="failed", seconds=2)
    past_step(past_run(), seconds=60)  # a tool's
    past_call(agent, cost="0.1", run=well)
    row = report("agents")["agents"][0]
    assert (row["runs"], row["succeeded"], row["failed"]) == (3, 1, 2)
    assert (row["success_rate"], row["p50_ms"], row["cost"]) == (0.333333, 2000, "0.1")
    assert row["resources"] == {
        "instances": 0, "in_flight": 0, "capacity": 0, "rss_bytes": 0, "cpu_percent": 0,
    }  # fmt: skip


def test_resources_are_those_of_live_instances(report, project, make_agent):
    agent = make_agent()
    deployment = Deployment.objects.create(
        project=project, agent=agent, target_version=agent.current,
        environment=project.environments.get(name="dev"),
    )  # fmt: skip
    facts = {"deployment": deployment, "host": "h", "rss_bytes": 70, "capacity": 4}
    Instance.objects.create(state="busy", in_flight=2, cpu_percent=12.5, **facts)
    Instance.objects.create(state="ready", in_flight=0, cpu_percent=0.5, **facts)
    Instance.objects.create(state="dead", in_flight=4, cpu_percent=99, **facts)
    assert report("agents")["agents"][0]["resources"] == {
        "instances": 2, "in_flight": 2, "capacity": 8, "rss_bytes": 140, "cpu_percent": 13.0,
    }  # fmt: skip


def test_workflows_with_their_costs(report, past_run, past_call, make_agent):
    run = past_run(seconds=2)
    past_call(make_agent(), cost="0.2", run=run)
    row = report("workflows")["workflows"][0]
    assert (row["name"], row["runs"], row["p50_ms"], row["cost"]) == ("Run-Of", 1, 2000, "0.2")


def test_one_workflow_tells_its_slowest_and_its_most_failing_step(
    vic, past_run, past_step, past_call, make_agent
):
    run, other = past_run(seconds=5), past_run(seconds=7, status="failed")
    past_step(run, node="slow", seconds=4)
    past_step(run, node="weak", seconds=1)
    past_step(other, node="slow", seconds=6)
    past_step(other, node="weak", seconds=1, status="failed", attempt=3)
    past_step(other, node="never", status="skipped", started_at=None)
    past_call(make_agent(), run=run, cost="0.3")
    found = Api(vic).get(f"/workflows/{run.workflow_id}/analytics", WEEK).json()
    assert (found["slowest_step"], found["most_failing_step"]) == ("slow", "weak")
    assert (found["totals"]["runs"], found["totals"]["cost"]) == (2, "0.3")
    assert (found["totals"]["p50_ms"], found["steps_of_runs"]) == (6000, 2)
    steps = {row["node"]: row for row in found["steps"]}
    assert (steps["slow"]["p50_ms"], steps["slow"]["failure_rate"]) == (5000, 0.0)
    assert (steps["weak"]["failure_rate"], steps["weak"]["retried"]) == (0.5, 1)
    assert (steps["never"]["runs"], steps["never"]["p50_ms"]) == (0, None)
    assert len(found["buckets"]) == 7


def test_a_workflow_without_runs_has_figures_too(vic, make_workflow):
    found = Api(vic).get(f"/workflows/{make_workflow().pk}/analytics").json()
    assert (found["totals"]["runs"], found["steps"], found["slowest_step"]) == (0, [], None)


def test_metrics_of_an_agent_know_what_became_of_runs(vic, past_run, past_step, make_agent):
    agent = make_agent()
    past_step(past_run(), agent=agent, seconds=2)
    past_step(past_run(days=2), agent=agent, status="failed")
    found = Api(vic).get(f"/agents/{agent.pk}/metrics", {**WEEK, "bucket": "day"}).json()
    totals = found["totals"]
    assert (totals["runs"], totals["succeeded"], totals["failed"]) == (2, 1, 1)
    assert [b["runs"] for b in found["buckets"]] == [0, 0, 0, 0, 1, 1, 0]
    assert found["buckets"][5]["p50_ms"] == 2000


def test_health_goes_by_the_runs_of_the_last_minutes(vic, make_run, past_step, make_agent):
    agent = make_agent()
    for _ in range(5):
        run = make_run(created_at=timezone.now() - timedelta(minutes=5))
        past_step(run, agent=agent, status="failed")
    found = Api(vic).get(f"/agents/{agent.pk}/health").json()
    assert found["status"] == "unhealthy"
    outcome = next(fact for fact in found["facts"] if fact["name"] == "outcome")
    assert "0 of 5 succeeded" in outcome["message"]


@pytest.mark.parametrize("name", ["overview", "runs", "costs", "agents", "workflows"])
def test_a_stranger_sees_reports_of_their_own_projects_only(
    name, bo, vic, project, past_run, past_call, make_agent
):
    past_call(make_agent(), run=past_run())
    mine = Api(vic).get(f"/analytics/{name}", {**WEEK, "project": project.pk}).content
    theirs = Api(bo).get(f"/analytics/{name}", {**WEEK, "project": project.pk}).content
    nothing = Api(bo).get(f"/analytics/{name}", WEEK).content
    assert theirs == nothing != mine
    assert b"Northwind" not in theirs


def test_the_projects_of_a_person_are_added_up_or_told_apart(own, project, past_run, make_run):
    past_run()
    second = create_project(actor=own, name="Second")
    run = past_run()
    Run.objects.filter(pk=run.pk).update(
        project=second, environment=second.environments.get(name="dev")
    )
    ask = Api(own)
    assert ask.get("/analytics/runs", WEEK).json()["totals"]["runs"] == 2
    for one in (project, second):
        query = {**WEEK, "project": one.pk, "environment": "dev"}
        assert ask.get("/analytics/runs", query).json()["totals"]["runs"] == 1


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"}, {"to": "2026-13-01"}, {"bucket": "year"}, {"project": "x"},
        {"format": "pdf"}, {"from": "2026-11-20", "to": "2026-11-19"},
        {"from": "2020-01-01", "to": "2026-11-19"}, {"from": "0001-01-01T00:00:00+14:00"},
        {"from": "9999-12-31T23:59:59-14:00"}, {"environment": "\x00"},
        {"bucket": "hour", "from": "2026-01-01", "to": "2026-11-19"},
        {"format": "csv", "table": "nothing"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(vic, query):
    answer = Api(vic).get("/analytics/runs", query)
    assert answer.status_code == 422, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_key_needs_the_scope_of_reports(own, project, api):
    ask = Api(own)
    body = {"project": str(project.pk), "name": "k", "scopes": ["runs:read"]}
    key = ask.post("/api-keys", body).json()["key"]
    narrow = api(None)
    narrow.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert narrow.get("/analytics/runs").status_code == 403
    body |= {"name": "k2", "scopes": ["analytics:read"]}
    key = ask.post("/api-keys", body).json()["key"]
    narrow.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert narrow.get("/analytics/runs").status_code == 200

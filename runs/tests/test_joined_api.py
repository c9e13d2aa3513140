"""The runs of one agent and of one workflow."""

import pytest

from runs.models import Step


@pytest.fixture
def worked(make_run, make_agent):
    """(agent, the run it worked in twice, a run it did not work in)."""
    agent = make_agent()
    mine, other = make_run(status="failed"), make_run()
    for node in ("a", "b"):
        Step.objects.create(run=mine, node=node, kind="agent", name=node, agent_id=agent.pk)
    Step.objects.create(run=other, node="a", kind="tool", name="a")
    return agent, mine, other


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_the_runs_of_an_agent_are_those_it_worked_in_each_once(api, vic, worked):
    agent, mine, _ = worked
    assert ids(api(vic).get(f"/agents/{agent.pk}/runs")) == [str(mine.pk)]
    assert api(vic).get(f"/agents/{agent.pk}/runs").json()["count"] == 1


def test_the_runs_of_a_workflow(api, vic, make_workflow, make_run):
    one, two = make_workflow(slug="one"), make_workflow(slug="two")
    mine = make_run(workflow=one)
    make_run(workflow=two)
    assert ids(api(vic).get(f"/workflows/{one.pk}/runs")) == [str(mine.pk)]


def test_rows_and_filters_are_those_of_runs(api, vic, worked):
    agent, mine, _ = worked
    ask = api(vic)
    rows = ask.get("/runs?status=failed").json()["results"]
    assert ask.get(f"/agents/{agent.pk}/runs").json()["results"] == rows
    assert "input" not in rows[0]
    assert ids(ask.get(f"/agents/{agent.pk}/runs?status=succeeded")) == []
    assert ids(ask.get(f"/agents/{agent.pk}/runs/?ordering=-cost&environment=dev")) == [
        str(mine.pk)
    ]
    assert ask.get(f"/agents/{agent.pk}/runs?status=nonsense").status_code == 422


@pytest.mark.parametrize("owners", ["agents", "workflows"])
def test_of_something_invisible_there_is_no_list(api, bo, vic, owners, make_agent, make_workflow):
    pk = (make_agent() if owners == "agents" else make_workflow()).pk
    assert api(vic).get(f"/{owners}/{pk}/runs").status_code == 200
    assert api(bo).get(f"/{owners}/{pk}/runs").status_code == 404
    assert api(vic).get(f"/{owners}/x/runs").status_code == 404
    assert api(vic).post(f"/{owners}/{pk}/runs", {}).status_code == 405

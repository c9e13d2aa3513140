"""Deploying, promoting, rolling back, retiring and scaling: rules, history, audit, through the
API. Nothing runs here; see tests/platform/test_fleet.py for the processes."""

from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, AgentVersion, Deployment
from controlplane.kit import gate
from controlplane.kit.models import Event
from governance.models import AuditEntry
from tests.support.cast import MODEL, Api


@pytest.fixture
def agent(make_agent: Any) -> Agent:
    """With versions 1 and 2."""
    agent = make_agent()
    config = {**MODEL, "instructions": "Be long."}
    agent.current = AgentVersion.objects.create(agent=agent, number=2, config=config, sha256="2")
    agent.save()
    return agent


def post(user: Any, agent: Agent, verb: str, **body: Any) -> Any:
    return Api(user).post(f"/agents/{agent.pk}/{verb}", {"environment": "dev", **body})


def make_live(agent: Agent, environment: str = "dev") -> Deployment:
    """As if the fleet had started its instances."""
    found = Deployment.objects.get(agent=agent, environment__name=environment)
    found.live_version, found.phase = found.target_version, "available"
    found.observed_generation = found.generation
    found.save()
    return found


def test_a_deployment_says_what_is_wanted_and_leaves_history_event_and_audit(agent, ana) -> None:
    answer = post(ana, agent, "deploy", replicas=2)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["version"], body["live_version"], body["phase"]) == (2, None, "pending")
    assert (body["replicas"], body["min"], body["max"], body["ready"]) == (2, 2, 2, 0)
    assert body["controls"]["replicas"] is True
    again = post(ana, agent, "deploy")
    assert again.json()["generation"] == 1, "deploying what is deployed changes nothing"
    rows = Api(ana).get(f"/agents/{agent.pk}/deployment-events").json()["results"]
    assert [(row["kind"], row["version"], row["actor"]) for row in rows] == [("deployed", 2, "Ana")]
    assert Event.objects.get(subject_id=agent.pk).type == "agent.deployed"
    entry = AuditEntry.objects.get(action="agent.deployed")
    assert entry.after["environment"] == "dev"
    assert entry.after["version"] == 2


def test_promotion_takes_what_is_live_below_and_rollback_what_was_before(agent, ada) -> None:
    refused = post(ada, agent, "promote", environment="staging")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_promote")
    post(ada, agent, "deploy", version=1)
    make_live(agent)
    post(ada, agent, "promote", environment="staging")
    make_live(agent, "staging")
    promoted = post(ada, agent, "promote", environment="prod", source="staging")
    assert (promoted.status_code, promoted.json()["version"]) == (201, 1)
    again = post(ada, agent, "promote", environment="prod")
    assert again.json()["code"] == "nothing_to_promote"
    nothing = post(ada, agent, "rollback", environment="prod")
    assert nothing.json()["code"] == "nothing_to_roll_back"
    post(ada, agent, "deploy", environment="prod", version=2)
    back = post(ada, agent, "rollback", environment="prod")
    assert (back.status_code, back.json()["version"]) == (200, 1)
    kinds = [row.kind for row in Deployment.objects.get(environment__name="prod").history.all()]
    assert kinds == ["rolled_back", "deployed", "promoted"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"environment": "moon"}, 422, "does_not_exist"),
        ({"version": 9}, 422, "does_not_exist"),
        ({"replicas": 11}, 422, "over_cap"),
        ({"driver": "external"}, 422, "driver_not_supported"),
        ({"replicas": -1}, 422, "min_value"),
        ({"colour": "red"}, 422, "unknown_field"),
    ],
)
def test_a_wrong_deployment_is_refused_precisely(agent, ana, body, status, code) -> None:
    answer = post(ana, agent, "deploy", **body)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["code"] == code
    assert not Deployment.objects.exists()


def test_a_disabled_agent_a_freeze_and_a_policy_stand_in_the_way(
    agent, ana, project, monkeypatch
) -> None:
    monkeypatch.setattr(
        gate, "_gate", lambda: lambda point, context: gate.Verdict("deny", reason=f"No {point}.")
    )
    denied = post(ana, agent, "deploy").json()
    assert (denied["code"], denied["detail"]) == ("policy_denied", "No deploy.")
    project.environments.filter(name="dev").update(frozen_at=timezone.now())
    assert post(ana, agent, "deploy").json()["code"] == "frozen"
    Agent.objects.filter(pk=agent.pk).update(status="disabled")
    assert post(ana, agent, "deploy").json()["code"] == "agent_disabled"


def test_only_admins_deploy_to_what_is_protected(agent, ana, ada) -> None:
    assert post(ana, agent, "deploy", environment="prod").status_code == 403
    assert post(ada, agent, "deploy", environment="prod").status_code == 201
    assert post(ana, agent, "scale", environment="prod", replicas=2).status_code == 200


def test_scaling_by_hand_and_between_bounds(agent, ana) -> None:
    assert post(ana, agent, "scale", replicas=2).json()["code"] == "not_deployed"
    post(ana, agent, "deploy")
    assert post(ana, agent, "scale").status_code == 422
    by_hand = post(ana, agent, "scale", replicas=4, concurrency=2).json()
    assert (by_hand["replicas"], by_hand["autoscale"], by_hand["concurrency"]) == (4, None, 2)
    crossed = post(ana, agent, "scale", min=5, max=3)
    assert crossed.json()["errors"][0]["code"] == "bounds_cross"
    bounded = post(ana, agent, "scale", min=1, max=3, autoscale={"cooldown_seconds": 60}).json()
    assert (bounded["min"], bounded["max"], bounded["replicas"]) == (1, 3, 3)
    assert bounded["autoscale"]["cooldown_seconds"] == 60
    assert bounded["autoscale"]["queue_target"] == 0.8
    assert AuditEntry.objects.filter(action="agent.scaled").count() == 2


def test_retiring_lets_the_agent_go(agent, ana) -> None:
    post(ana, agent, "deploy")
    in_use = Api(ana).delete(f"/agents/{agent.pk}")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "in_use")
    assert post(ana, agent, "retire").json()["phase"] == "retired"
    assert post(ana, agent, "scale", replicas=2).json()["code"] == "not_deployed"
    assert Api(ana).delete(f"/agents/{agent.pk}").status_code == 204


def test_what_is_elsewhere_says_what_cannot_be_controlled(make_agent, ana) -> None:
    url = "http://127.0.0.1:9/agent"
    remote = make_agent(slug="far", kind="remote", config={"url": url, "max_concurrency": 3})
    body = post(ana, remote, "deploy").json()
    assert (body["driver"], body["phase"], body["replicas"]) == ("remote", "available", 0)
    assert body["controls"]["replicas"] is False
    assert body["concurrency"] == 3
    refused = post(ana, remote, "scale", replicas=2).json()["errors"][0]
    assert refused["code"] == "not_scalable"
    assert "it has no replicas" in refused["message"]
    assert post(ana, remote, "scale", concurrency=5).json()["concurrency"] == 5


def test_the_list_of_deployments_asks_the_same_number_of_questions(
    make_agent, ana, project, django_assert_max_num_queries
) -> None:
    agent = make_agent()
    for name in ("dev", "staging"):
        post(ana, agent, "deploy", environment=name)
    with django_assert_max_num_queries(8):
        rows = Api(ana).get(f"/agents/{agent.pk}/deployments").json()["results"]
    assert [row["environment"] for row in rows] == ["dev", "staging"]

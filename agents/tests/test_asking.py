"""Deployments that a policy holds back: asked, carried out exactly as asked, or refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.models import Agent, AgentVersion, Deployment
from controlplane.kit import gate
from controlplane.kit.errors import DomainError
from governance import approvals
from governance.models import Approval, AuditEntry
from projects.models import Membership
from tests.support.cast import MODEL, Api


@pytest.fixture
def agent(make_agent: Any) -> Agent:
    """With versions 1 and 2."""
    agent = make_agent()
    config = {**MODEL, "instructions": "Be long."}
    agent.current = AgentVersion.objects.create(agent=agent, number=2, config=config, sha256="2")
    agent.save()
    return agent


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> dict[str, gate.Verdict]:
    """What the gate says, changeable by the test; at first that two people are to approve."""
    word = gate.Verdict(
        "require_approval", reason="Look twice.", policies=("Careful",), approval={"quorum": 1}
    )
    said = {"verdict": word}
    monkeypatch.setattr(gate, "_gate", lambda: lambda point, context: said["verdict"])
    return said


def post(user: Any, agent: Agent, verb: str, **body: Any) -> Any:
    return Api(user).post(f"/agents/{agent.pk}/{verb}", {"environment": "dev", **body})


def approve(user: Any, approval: Any, verb: str = "approve", **body: Any) -> Any:
    return Api(user).post(f"/approvals/{approval}/{verb}", body)


def kinds(agent: Agent, environment: str = "dev") -> list[tuple[str, int]]:
    rows = Api(Membership.objects.get(role="owner").user).get(
        f"/agents/{agent.pk}/deployment-events?environment={environment}"
    )
    return [(row["kind"], row["version"]) for row in rows.json()["results"]]


def test_a_deployment_waits_for_its_approval_and_is_then_made_as_asked(
    agent, ana, ada, policy, django_capture_on_commit_callbacks
) -> None:
    answer = post(ana, agent, "deploy", version=1, replicas=2)
    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert (body["status"], body["deployment"]["phase"]) == ("waiting", "paused")
    assert body["deployment"]["waiting"]["version"] == 1
    assert answer["Location"] == body["url"] == f"/api/v1/approvals/{body['approval']}"
    again = post(ana, agent, "deploy", version=1, replicas=2).json()
    assert again["approval"] == body["approval"], "the same is asked once"
    card = Api(ada).get(f"/approvals/{body['approval']}").json()
    assert (card["subject"], card["title"]) == ("deployment", "Deploy Packer version 1 to dev")
    assert card["packet"]["policy"] == ["Careful"]
    assert card["packet"]["diff"][0] == {"path": "version", "before": None, "after": 1}
    assert post(ana, agent, "scale", replicas=3).json()["code"] == "not_deployed"

    client = Client()
    client.force_login(ada)
    page = client.get(f"/agents/{agent.pk}/?tab=deployments").content.decode()
    assert "waits for approval" in page
    assert f'href="/approvals/{body["approval"]}/"' in page
    assert client.get(f"/approvals/{body['approval']}/").status_code == 200

    assert approve(ada, body["approval"]).status_code == 200
    found = Deployment.objects.get(agent=agent)
    assert (found.target_version.number, found.desired, found.waiting) == (1, 2, None)
    assert found.phase == "pending"
    assert kinds(agent) == [("deployed", 1), ("asked", 1)]
    made = AuditEntry.objects.get(action="agent.deployed")
    assert (made.actor_name, made.after["approval"]) == ("Ana", body["approval"])
    assert approve(ada, body["approval"]).json()["code"] == "already_decided"


def test_what_is_rejected_or_not_decided_stands_in_the_history_and_can_be_asked_again(
    agent, ana, ada, policy
) -> None:
    first = post(ana, agent, "deploy", version=1).json()["approval"]
    assert approve(ada, first, "reject", comment="Not on a Friday").status_code == 200
    found = Deployment.objects.get(agent=agent)
    assert (found.phase, found.waiting) == ("retired", None)
    assert found.explanation == "Rejected by Ada: Not on a Friday"
    assert kinds(agent) == [("refused", 1), ("asked", 1)]
    policy["verdict"] = gate.Verdict("require_approval", approval={"due_seconds": 5})
    second = post(ana, agent, "deploy", version=1).json()["approval"]
    assert second != first
    approvals.expire_due(timezone.now() + timezone.timedelta(seconds=60))
    assert Approval.objects.get(pk=second).status == "expired"
    assert kinds(agent)[0] == ("refused", 1)
    assert AuditEntry.objects.filter(action="agent.deployment_refused").count() == 2


def test_promoting_and_rolling_back_wait_too_and_the_later_question_takes_the_place(
    agent, ana, ada, policy
) -> None:
    asks, policy["verdict"] = policy["verdict"], gate.ALLOW
    post(ana, agent, "deploy", version=1)
    row = Deployment.objects.get(agent=agent)
    row.live_version, row.phase = row.target_version, "available"
    row.save()
    post(ana, agent, "deploy", version=2)
    policy["verdict"] = asks
    unchanged = post(ana, agent, "deploy", version=2)
    assert unchanged.status_code == 201, "what changes nothing is not asked about"
    back = post(ana, agent, "rollback")
    assert (back.status_code, back.json()["deployment"]["version"]) == (202, 2)
    assert Deployment.objects.get(agent=agent).phase != "paused", "what is live stays live"
    up = post(ana, agent, "promote", environment="staging").json()["approval"]
    assert approve(ada, up).status_code == 200
    assert kinds(agent, "staging") == [("promoted", 1), ("asked", 1)]
    other = post(ana, agent, "deploy", version=1).json()["approval"]
    assert Approval.objects.get(pk=back.json()["approval"]).status == "superseded"
    card = Api(ada).get(f"/approvals/{other}").json()["packet"]["diff"]
    assert {"path": "version", "before": 2, "after": 1} in card
    assert {"path": "config.instructions", "before": "Be long.", "after": "Be brief."} in card


def test_what_changed_meanwhile_is_not_done_and_the_person_is_told(
    agent, ana, ada, policy, django_capture_on_commit_callbacks
) -> None:
    waits = post(ana, agent, "deploy", version=1).json()["approval"]
    asks, policy["verdict"] = policy["verdict"], gate.Verdict("deny", reason="Closed.")
    assert approve(ada, waits).json()["code"] == "policy_denied"
    policy["verdict"] = gate.ALLOW
    with django_capture_on_commit_callbacks() as after:
        post(ana, agent, "deploy", version=2)
    refused = approve(ada, waits)
    assert (refused.status_code, refused.json()["code"]) == (409, "changed")
    assert "What runs in dev was changed after this was asked" in refused.json()["detail"]
    assert Deployment.objects.get(agent=agent).target_version.number == 2
    for callback in after:
        callback()
    assert Approval.objects.get(pk=waits).status == "cancelled", "nobody waits any more"
    policy["verdict"] = asks
    waits = post(ana, agent, "deploy", version=1).json()["approval"]
    Membership.objects.filter(user=ana).update(role="viewer")
    assert approve(ada, waits).json()["code"] == "requester_may_not"
    Agent.objects.filter(pk=agent.pk).update(deleted_at=timezone.now())
    assert approve(ada, waits).json()["code"] == "agent_deleted"
    assert Approval.objects.get(pk=waits).is_pending, "a refused approval is no decision"


@pytest.mark.django_db(transaction=True)
def test_many_who_approve_at_once_make_one_deployment(agent, ana, ada, policy) -> None:
    waits = Approval.objects.get(pk=post(ana, agent, "deploy", version=1).json()["approval"])

    def one(_: int) -> str:
        try:
            return approvals.decide(waits, actor=ada, action="approve").status
        except DomainError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(one, range(8)))
    assert sorted(said) == ["already_decided"] * 7 + ["approved"]
    assert kinds(agent) == [("deployed", 1), ("asked", 1)]
    assert Deployment.objects.get(agent=agent).generation == 1


@pytest.mark.django_db(transaction=True)
def test_deciding_and_deploying_at_once_end_with_one_word(agent, ana, ada, policy) -> None:
    """Nobody is left waiting for the other: approval first, then agent, whoever begins."""
    waits = Approval.objects.get(pk=post(ana, agent, "deploy", version=1).json()["approval"])

    def one(turn: int) -> Any:
        try:
            if turn % 2:
                return approvals.decide(waits, actor=ada, action="approve").status
            return post(ana, agent, "deploy", version=2).status_code
        except DomainError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(one, range(8)))
    known = {"approved", "already_decided", "superseded", "changed", 202, 409}
    assert set(said) <= known, said
    assert Approval.objects.filter(subject="deployment", status="pending").count() <= 1

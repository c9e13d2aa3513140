"""Probes of what deployed agents call: real calls, at a bounded rate, believed from the second."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents import connections, probing
from agents.models import Agent, ProviderConnection
from agents.wellbeing import health
from tests.support.cast import Api
from tests.support.model_servers import OpenAIServer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Nothing is remembered of an earlier test."""
    connections.forget()


def said(agent: Agent) -> tuple[str, str]:
    """The mark and the words of the probe."""
    agent = Agent.objects.select_related("current", "project").get(pk=agent.pk)
    found = next(fact for fact in health(agent)["facts"] if fact["name"] == "probe")
    return found["status"], found["message"]


def later(**how: float) -> None:
    """As if the last probes were longer ago."""
    for agent in Agent.objects.exclude(probed_at=None):
        Agent.objects.filter(pk=agent.pk).update(probed_at=agent.probed_at - timedelta(**how))


def test_a_model_server_is_asked_for_deployed_agents_only_and_not_too_often(
    create, ana, project, settings
) -> None:
    with OpenAIServer() as server:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        server.listed = ["m-1"]
        config = {"provider": "openai", "model": "m-1", "base_url": server.base_url}
        for slug in ("one", "two", "three"):
            create(slug=slug, name=slug, config=config)
        assert probing.probe_round() == 0, "what is deployed nowhere is left alone"
        for slug in ("one", "two"):
            agent = Agent.objects.get(slug=slug)
            Api(ana).post(f"/agents/{agent.pk}/deploy", {"environment": "dev"})
        assert probing.probe_round() == 2
        assert [request["path"] for request in server.requests] == ["/v1/models"], "asked once"
        words = f"The configuration can be used. {server.address} lists 1 model."
        assert said(agent) == ("ok", words)
        assert probing.probe_round() == 0
        later(seconds=301)
        server.key = "a key it was not given"
        assert probing.probe_round() == 2
        assert said(agent)[0] == "ok", "once is no alarm"
        later(seconds=31)
        assert probing.probe_round() == 2, "what is wrong is asked again soon"
        words = f"{server.address} answered 401: it asks for a key."
        assert said(agent) == ("failing", words)
        assert health(Agent.objects.get(pk=agent.pk))["status"] == "unhealthy"
        server.key = ""
        later(seconds=31)
        probing.probe_round()
        assert said(agent)[0] == "ok"
        later(hours=1)
        assert said(agent) == ("ok", "The configuration can be used."), "old news is none"


def test_a_probe_shows_at_the_connection_and_leaves_no_audit_row(create, ana, ada, project) -> None:
    body = {"project": str(project.pk), "name": "Ours", "provider": "openai"}
    made = Api(ada).post("/provider-connections", {**body, "base_url": "http://127.0.0.1:9/v1"})
    agent = create(config={"connection": made.json()["id"], "model": "m"}).data["id"]
    Api(ana).post(f"/agents/{agent}/deploy", {"environment": "dev"})
    probing.probe_round()
    row = ProviderConnection.objects.get()
    assert row.status == "unreachable"
    seen = row.updated_at
    later(seconds=31)
    probing.probe_round()
    row.refresh_from_db()
    assert row.updated_at == seen, "a probe that finds the same is no change"
    assert row.checked_at > timezone.now() - timedelta(minutes=1)
    status, words = said(Agent.objects.get(pk=agent))
    assert status == "failing"
    assert "127.0.0.1" in words


def test_a_remote_agent_is_asked_at_its_address_or_its_health_url(
    make_agent: Any, ana, settings
) -> None:
    with OpenAIServer() as server:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        url = f"{server.base_url}/agent"
        far = make_agent(slug="far", kind="remote", config={"url": url})
        Api(ana).post(f"/agents/{far.pk}/deploy", {"environment": "dev"})
        probing.probe_round()
        assert said(far) == ("ok", "The configuration can be used. Its address answers.")
        changed = Api(ana).patch(
            f"/agents/{far.pk}", {"config": {"url": url, "health_url": f"{server.base_url}/up"}}
        )
        assert changed.json()["config"]["health_url"].endswith("/up")
        Api(ana).post(f"/agents/{far.pk}/deploy", {"environment": "dev"})
        for _ in range(2):
            later(seconds=301)
            probing.probe_round()
        assert said(far) == ("failing", "Its health address answered 404.")

"""Agents made through the API, and a model server next door."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.response import Response

from agents import pricing
from agents.models import Agent, AgentVersion, Deployment
from controlplane.kit import events
from projects.models import Project
from projects.people import User
from tests.support.cast import Api
from tests.support.model_servers import OpenAIServer, Reply

CONFIG = {"provider": "openai", "model": "m-1", "base_url": "http://127.0.0.1:9/v1"}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No doorbell is rung, no price of an earlier test remembered."""
    monkeypatch.setattr(events, "announce", lambda groups: None)
    pricing.forget()


@pytest.fixture
def create(project: Project, ana: User) -> Callable[..., Response]:
    """`create(**fields)`: POST /agents as the operator."""

    def made(*, by: User | None = ana, **fields: Any) -> Response:
        body = {
            "project": str(project.pk),
            "slug": "packer",
            "name": "Packer",
            "kind": "model",
            "config": CONFIG,
            **fields,
        }
        return Api(by).post("/agents", body, format="json")

    return made


@pytest.fixture
def agent(create: Callable[..., Response]) -> Agent:
    """A model agent on a server of one's own."""
    return Agent.objects.select_related("current").get(pk=create().data["id"])


@pytest.fixture
def model_server(settings: Any) -> Iterator[OpenAIServer]:
    """An OpenAI-wire server that answers OK; its address may be called."""
    with OpenAIServer(Reply(text="OK", tokens=(1000, 10))) as server:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        yield server


@pytest.fixture
def deploy(agent: Agent) -> Callable[..., Deployment]:
    """`deploy("dev", **fields)`: a deployment row of the agent."""

    def made(environment: str = "dev", **fields: Any) -> Deployment:
        version: AgentVersion = fields.pop("version", agent.current)
        return Deployment.objects.create(
            project=agent.project,
            agent=agent,
            target_version=version,
            environment=agent.project.environments.get(name=environment),
            **fields,
        )

    return made

"""A tool that is an agent, called from the test console and the playground: it works for real."""

import json
from typing import Any

import pytest
from django.test import Client

from agents import connections, pricing
from agents.models import Agent, ModelCall, ModelPrice
from controlplane.kit import gate
from tests.support.cast import Api
from tests.support.model_servers import OpenAIServer, Reply
from tools import limits
from tools.models import Tool, ToolVersion


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Nothing is remembered of an earlier test."""
    pricing.forget()
    connections.forget()


@pytest.fixture
def say(create: Any, make_tool: Any, project: Any, ana: Any, settings: Any) -> Any:
    """Two agents: `boss` asks `clerk` by the tool `ask-clerk`, the clerk reads by `echo`; the tool
    `ask-boss` has the boss work. `say(script)` gives the server that speaks for both."""
    servers = []

    def made(script: Any) -> tuple[OpenAIServer, str]:
        server = OpenAIServer(script=script)
        server.__enter__()
        servers.append(server)
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        make_tool(slug="echo", effect_class="read")
        config = {"provider": "openai", "model": "m-1", "base_url": server.base_url}
        create(slug="clerk", name="Clerk", config={**config, "tools": ["echo"], "model": "m-2"})
        _tool(ana, project, "ask-clerk", "clerk")
        create(slug="boss", name="Boss", config={**config, "tools": ["ask-clerk"]})
        return server, _tool(ana, project, "ask-boss", "boss")

    yield made
    for server in servers:
        server.__exit__()


def _tool(user: Any, project: Any, slug: str, agent: str) -> str:
    body = {"project": str(project.pk), "slug": slug, "name": slug, "kind": "agent"}
    return str(Api(user).post("/tools", {**body, "config": {"agent": agent}}).json()["id"])


def works(body: dict[str, Any]) -> Reply:
    """The boss asks the clerk, the clerk echoes, and both say what they were told."""
    last = str(body["messages"][-1].get("content"))
    if body["messages"][-1]["role"] == "tool":
        return Reply(f"I was told {last}", tokens=(10, 5))
    tool = body["tools"][0]["function"]["name"] if body.get("tools") else ""
    if not tool:
        return Reply("I have no tools.", tokens=(10, 5))
    given = {"prompt": "Socks?"} if tool == "ask-clerk" else {"n": 42}
    return Reply(tool_calls=((tool, given),), tokens=(10, 5))


@pytest.mark.django_db
def test_the_console_has_the_agent_work_with_turns_tokens_and_cost(say, ana, project) -> None:
    server, tool = say(works)
    ModelPrice.objects.create(
        project=project, provider="openai", model="m-*", input_per_million=2, output_per_million=10
    )
    pricing.forget()
    answer = Api(ana).post(f"/tools/{tool}/test", {"arguments": {"prompt": "Pack."}}).json()
    assert answer["ok"] is True, answer
    assert "42" in answer["output"]["text"]
    assert answer["request"] == {"agent": "boss", "version": 1, "prompt": "Pack."}
    told = answer["response"]
    assert [(t["agent"], t["kind"], t["name"], t["is_simulated"]) for t in told["turns"]] == [
        ("boss", "model", "m-1", False),
        ("boss", "tool", "ask-clerk", False),
        ("clerk", "model", "m-2", False),
        ("clerk", "tool", "echo", False),
        ("clerk", "model", "m-2", False),
        ("boss", "model", "m-1", False),
    ]
    assert (told["input_tokens"], told["output_tokens"]) == (40, 20)
    assert (told["cost"], told["unpriced_calls"]) == ("0.00028", 0)
    calls = ModelCall.objects.values_list("agent__slug", flat=True)
    assert sorted(calls) == ["boss", "boss", "clerk", "clerk"]
    client = Client()
    client.force_login(ana)
    page = client.post(f"/tools/{tool}/test/", {"arg_prompt": "Pack."}).content.decode()
    assert "40 tokens in, 20 out" in page
    assert '<span class="muted">clerk:</span>' in page
    assert len(server.requests) == 8


@pytest.mark.django_db
def test_policies_limits_and_quarantine_hold_there_too(say, ana, monkeypatch) -> None:
    server, tool = say(works)
    waited = []

    async def wait(tool: Any, *, within_seconds: float) -> None:
        waited.append((tool.slug, within_seconds))

    monkeypatch.setattr(limits, "wait", wait)
    limit = {"limit": 5, "per_seconds": 60, "when_limited": "wait"}
    Tool.objects.filter(slug="echo").update(rate_limit=limit)
    url, body = f"/tools/{tool}/test", {"arguments": {"prompt": "Pack."}}
    assert Api(ana).post(url, body).json()["ok"] is True
    assert waited == [("echo", 30)]
    ToolVersion.objects.filter(tool__slug="ask-clerk").update(approval="quarantined")
    held = Api(ana).post(url, body).json()
    assert held["output"]["text"] == "I have no tools.", "what nobody has looked at is not offered"
    monkeypatch.setattr(
        gate,
        "_gate",
        lambda: (
            lambda point, about: (
                gate.Verdict("deny", reason="No models today.")
                if point == "model.call"
                else gate.ALLOW
            )
        ),
    )
    before = len(server.requests)
    denied = Api(ana).post(url, body).json()
    assert (denied["ok"], denied["error"]["code"]) == (False, "policy_denied")
    assert "No models today." in json.dumps(denied["error"])
    assert len(server.requests) == before


@pytest.mark.django_db
def test_an_agent_that_is_gone_or_fails_says_so(say, ana) -> None:
    _, tool = say(lambda body: Reply(status=401, error={"message": "Wrong key."}))
    url, body = f"/tools/{tool}/test", {"arguments": {"prompt": "Pack."}}
    failed = Api(ana).post(url, body).json()
    assert (failed["ok"], failed["error"]["code"]) == (False, "auth")
    assert "Wrong key." in failed["error"]["message"]
    assert failed["response"]["turns"] == []
    assert ModelCall.objects.get().error_code == "auth", "a failed call is recorded too"
    Agent.objects.filter(slug="boss").update(status="disabled")
    gone = Api(ana).post(url, body).json()
    assert gone["error"]["code"] == "agent_missing"


@pytest.mark.django_db
def test_the_playground_asks_other_agents_for_real(say, ana, project) -> None:
    say(works)
    boss = project.agents.get(slug="boss")
    answer = Api(ana).post(f"/agents/{boss.pk}/play", {"message": "Pack."}).json()
    assert answer["ok"] is True, answer
    assert [turn["agent"] for turn in answer["turns"]].count("clerk") == 3
    assert "42" in answer["text"]
    assert (answer["input_tokens"], answer["unpriced_calls"]) == (40, 4)

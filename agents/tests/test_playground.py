"""Talking to a version, and the prices its calls are counted by, through the API and the page."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings

from agents import pricing
from agents.models import Agent, ModelCall, ModelPrice
from controlplane.kit import gate
from tests.support.cast import Api
from tests.support.model_server import Reply
from tests.support.model_servers import OpenAIServer


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    replies = (Reply(tool_calls=(("echo", {"n": 1}), ("send", {"to": "x"}))), Reply("Done."))
    with (
        OpenAIServer(*replies) as server,
        override_settings(SPARKOPS_EGRESS_ALLOW=[server.address]),
    ):
        pricing.forget()
        yield server
        pricing.forget()


@pytest.fixture
def agent(server: OpenAIServer, make_agent: Callable[..., Any], make_tool: Any) -> Agent:
    make_tool(slug="echo", effect_class="read")
    there = {"method": "POST", "url": "http://127.0.0.1:9/", "headers": {}, "query": {}}
    send = {**there, "body": None, "auth": None, "allowed_hosts": []}
    make_tool(slug="send", kind="http", config=send, effect_class="unsafe")
    config = {"provider": "openai", "base_url": server.base_url, "model": "small"}
    return make_agent(config={**config, "tools": ["echo", "send"]})


def test_a_version_is_talked_to_and_nothing_happens_outside(agent, ana, server) -> None:
    answer = Api(ana).post(f"/agents/{agent.pk}/play", {"message": "Hello"}).json()
    assert (answer["ok"], answer["text"], answer["version"]) == (True, "Done.", 1)
    told = [(turn["kind"], turn["name"], turn["is_simulated"]) for turn in answer["turns"]]
    assert told == [
        ("model", "small", False),
        ("tool", "echo", False),
        ("tool", "send", True),
        ("model", "small", False),
    ]
    assert (answer["input_tokens"], answer["cost"], answer["unpriced_calls"]) == (20, None, 2)
    assert ModelCall.objects.filter(agent=agent, run_id=None).count() == 2
    missing = Api(ana).post(f"/agents/{agent.pk}/play", {"message": "Hello", "version": 7})
    assert missing.json()["errors"][0]["code"] == "does_not_exist"


def test_a_conversation_goes_on_with_what_was_said(agent, ana, server) -> None:
    client = Client()
    client.force_login(ana)
    said = {"version": "1", "message": "And now?", "role": ["user"], "said": ["Hello"]}
    page = client.post(f"/agents/{agent.pk}/play/", said, headers={"HX-Request": "true"})
    assert page.status_code == 200
    assert 'value="And now?"' in page.content.decode()
    assert "unpriced" in page.content.decode()
    sent = server.requests[0]["body"]["messages"][-1]["content"]
    assert sent == "Our conversation so far:\nuser: Hello\n\nuser: And now?"


def test_a_policy_may_forbid_it(agent, ana, server, monkeypatch) -> None:
    denies = gate.Verdict("deny", reason="Not here.")
    monkeypatch.setattr(gate, "_gate", lambda: lambda point, context: denies)
    answer = Api(ana).post(f"/agents/{agent.pk}/play", {"message": "Hello"}).json()
    assert (answer["ok"], answer["error"]["code"]) == (False, "policy_denied")
    assert server.requests == []


def test_an_own_price_counts_at_once_and_says_who_set_it(agent, ada, project, server) -> None:
    api = Api(ada)
    about = {"project": str(project.pk), "provider": "openai", "model": "small"}
    asked = {**about, "base_url": server.base_url}
    before = api.get("/model-prices/in-force", asked).json()
    assert (before["status"], before["input_per_million"]) == ("unpriced", None)
    body = {**about, "input_per_million": "1000", "output_per_million": "2000"}
    imported = api.post("/model-prices", {**body, "source": "import"})
    assert imported.status_code == 201, imported.content
    set_by = api.post("/model-prices", {**body, "input_per_million": "500"})
    assert set_by.status_code == 201
    found = api.get("/model-prices/in-force", asked).json()
    assert (found["source"], found["input_per_million"]) == ("operator", "500")
    played = api.post(f"/agents/{agent.pk}/play", {"message": "Hello"}).json()
    assert played["unpriced_calls"] == 0
    # Twice 10 tokens in at 500 and 5 out at 2,000 per million.
    assert Decimal(played["cost"]) == Decimal("0.03")
    ModelPrice.objects.all().delete()


def test_an_objective_changes_the_verdict(agent, ana) -> None:
    body = {"objective": {"success_rate": 0.5}}
    changed = Api(ana).patch(f"/agents/{agent.pk}", body).json()
    assert changed["objective"] == {"success_rate": 0.5, "p95_ms": None}
    wrong = Api(ana).patch(f"/agents/{agent.pk}", {"objective": {"success_rate": 2}})
    assert wrong.status_code == 422

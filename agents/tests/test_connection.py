"""The connection check: one short real call."""

import json

import pytest

from agents import connection
from agents.models import AgentVersion, ModelCall, ModelPrice
from controlplane.kit.gate import Verdict
from tests.support.model_servers import OpenAIServer, Reply

pytestmark = pytest.mark.django_db
KEY = "sk-canary-1234567890"


@pytest.fixture
def check(api, ana, create, model_server):
    def made(*, server=model_server, **config):
        body = {"provider": "openai", "model": "m-1", "base_url": server.base_url, **config}
        agent = create(config=body).data["id"]
        return api(ana).post(f"/agents/{agent}/check-connection")

    return made


def test_a_good_connection_says_how_it_went_and_leaves_a_row(check):
    data = check().data
    assert (data["ok"], data["response_model"], data["error"]) == (True, "m-1", None)
    assert data["latency_ms"] >= data["first_token_ms"] > 0
    assert (data["input_tokens"], data["cost"], data["price_status"]) == (1000, None, "unpriced")
    call = ModelCall.objects.get()
    assert (call.state, call.finish_reason, call.input_tokens) == ("succeeded", "stop", 1000)
    assert (call.run_id, call.agent_version.number) == (None, 1)


def test_an_operators_price_counts_at_once(check, project):
    ModelPrice.objects.create(
        project=project, provider="openai", model="m-1", input_per_million=2, output_per_million=10
    )
    data = check().data
    assert (data["cost"], data["price_status"]) == ("0.0021", "priced")


def test_the_price_of_another_project_does_not_count(check, bo):
    other = bo.memberships.get().project
    ModelPrice.objects.create(
        project=other, provider="openai", model="m-1", input_per_million=2, output_per_million=10
    )
    assert check().data["price_status"] == "unpriced"


def test_a_bad_key_is_told_apart_and_recorded(check, settings):
    with OpenAIServer(Reply(status=401, error={"message": "Wrong key."})) as server:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address]
        data = check(server=server).data
    assert data["ok"] is False
    assert data["error"]["code"] == "auth"
    assert data["error"]["message"] == "The provider answered 401: Wrong key."
    call = ModelCall.objects.get()
    assert (call.state, call.error_code, call.cost) == ("failed", "auth", 0)


def test_a_private_address_is_refused_precisely(check, settings):
    settings.SPARKOPS_EGRESS_ALLOW = []
    error = check().data["error"]
    assert error["code"] == "unreachable"
    assert "127.0.0.1" in error["message"]


def test_the_key_goes_to_its_host_and_is_shown_nowhere(check, make_secret, model_server):
    make_secret(name="mine", value=KEY, allowed_hosts=[model_server.address])
    response = check(secret="mine")  # noqa: S106
    assert model_server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(response.data)
    assert KEY not in json.dumps(list(AgentVersion.objects.values_list("config", flat=True)))


def test_a_secret_that_was_bound_to_another_host_meanwhile_is_refused(
    api, ana, create, make_secret, model_server
):
    secret = make_secret(name="mine", value=KEY, allowed_hosts=[model_server.address])
    config = {
        "provider": "openai",
        "model": "m",
        "base_url": model_server.base_url,
        "secret": "mine",
    }
    agent = create(config=config).data["id"]
    type(secret).objects.update(allowed_hosts=["elsewhere.example.com"])
    data = api(ana).post(f"/agents/{agent}/check-connection").data
    assert (data["ok"], data["error"]["code"]) == (False, "secret_host_refused")
    assert model_server.requests == []


def test_policy_is_asked_first(check, monkeypatch, model_server):
    deny = Verdict("deny", "policy_denied", "No models today.")
    monkeypatch.setattr(connection.gate, "check", lambda point, context: deny)
    response = check()
    assert (response.status_code, response.data["code"]) == (409, "policy_denied")
    assert response.data["detail"] == "No models today."
    assert model_server.requests == []


def test_without_the_supervisor_the_embedded_model_says_why(api, ana, create, settings):
    settings.SPARKOPS_CONTROL_SOCKET = ""
    agent = create(config={"provider": "embedded"}).data["id"]
    data = api(ana).post(f"/agents/{agent}/check-connection").data
    assert data["error"]["code"] == "unreachable"
    assert "make up" in data["error"]["message"]


def test_only_model_agents_have_a_connection(api, ana, create):
    agent = create(kind="worker", config={"entrypoint": "packer"}).data["id"]
    response = api(ana).post(f"/agents/{agent}/check-connection")
    assert (response.status_code, response.data["code"]) == (409, "wrong_kind")

"""Provider connections: kept once, checked for real, named by versions, resolved when loaded."""

from typing import Any

import pytest
from django.test import Client

from agents import connections
from agents.models import Agent, AgentVersion, ProviderConnection
from agents.spec import load_spec
from controlplane.kit.errors import DomainError
from governance.models import AuditEntry
from tests.support.cast import Api
from tests.support.model_servers import AnthropicServer, OpenAIServer, Reply

pytestmark = pytest.mark.django_db
KEY = "sk-canary-1234567890"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Nothing is remembered of an earlier test."""
    connections.forget()


@pytest.fixture
def connect(project: Any, ada: Any) -> Any:
    """`connect(**fields)`: POST /provider-connections as the admin."""

    def made(**fields: Any) -> Any:
        body = {"project": str(project.pk), "name": "Ours", "provider": "openai", **fields}
        return Api(ada).post("/provider-connections", body)

    return made


def test_the_check_says_what_the_server_answered(connect, ada, make_secret, settings) -> None:
    with OpenAIServer() as server, AnthropicServer() as other:
        settings.SPARKOPS_EGRESS_ALLOW = [server.address, other.address]
        make_secret(name="key", value=KEY, allowed_hosts=[server.address, other.address])
        server.listed, server.key = ["small-1", "large-1"], KEY
        row = connect(base_url=server.base_url, secret="key").json()  # noqa: S106
        assert (row["status"], row["checked_at"]) == ("new", None)
        url = f"/provider-connections/{row['id']}/check"
        found = Api(ada).post(url).json()
        assert (found["status"], found["models"]) == ("connected", ["large-1", "small-1"])
        assert found["detail"] == f"{server.address} lists 2 models."
        server.key = "another"
        refused = Api(ada).post(url).json()
        assert (refused["status"], refused["models"]) == ("refused", [])
        assert refused["detail"] == f"{server.address} answered 401: it refused the key."
        server.listed = None
        assert Api(ada).post(url).json()["status"] == "reachable"
        other.listed = ["claude"]
        second = connect(
            name="Other",
            provider="anthropic",
            base_url=other.base_url,
            secret="key",  # noqa: S106
        ).json()
        asked = Api(ada).post(f"/provider-connections/{second['id']}/check")
        assert asked.json()["status"] == "connected"
        assert other.requests[-1]["headers"]["x-api-key"] == KEY
        assert other.requests[-1]["path"].startswith("/v1/models")
    settings.SPARKOPS_EGRESS_ALLOW = []
    gone = Api(ada).post(url).json()
    assert gone["status"] == "unreachable"
    assert "127.0.0.1" in gone["detail"]
    entries = AuditEntry.objects.filter(action="providerconnection.checked")
    assert entries.count() == 5
    moved = Api(ada).patch(url.removesuffix("/check"), {"base_url": "http://127.0.0.1:9/v1"})
    assert moved.status_code == 422, "the secret is bound to other hosts"
    moved = (
        Api(ada)
        .patch(url.removesuffix("/check"), {"base_url": "http://127.0.0.1:9/v1", "secret": None})
        .json()
    )
    assert (moved["status"], moved["detail"]) == ("new", ""), "another server is not checked yet"


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({}, "secret", "required"),
        ({"base_url": "ftp://h/x"}, "base_url", "invalid_url"),
        ({"secret": "absent"}, "secret", "does_not_exist"),
        ({"secret": "bound"}, "secret", "secret_host_refused"),
        ({"provider": "embedded", "base_url": "http://h/v1"}, "provider", "invalid_choice"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    connect, make_secret, fields, field, code
) -> None:
    make_secret(name="bound", allowed_hosts=["elsewhere.example.com"])
    answer = connect(**fields)
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [(field, code)]


def test_a_version_names_the_connection_and_takes_its_server_when_it_is_loaded(
    connect, create, ada, django_assert_num_queries
) -> None:
    url = "http://127.0.0.1:9/v1"
    row = connect(base_url=url, default_model="small-1").json()
    agent = create(config={"connection": row["id"]}).data
    config = agent["config"]
    assert (config["provider"], config["model"], config["base_url"]) == ("openai", "small-1", None)
    version = AgentVersion.objects.get(agent_id=agent["id"])
    assert load_spec(version).base_url == url
    with django_assert_num_queries(0):
        assert load_spec(version).config["base_url"] == url
    again = Api(ada).patch(f"/agents/{agent['id']}", {"config": config})
    assert again.json()["version"] == 1, "what was read back is no new version"
    moved = "http://127.0.0.1:9/v2"
    Api(ada).patch(f"/provider-connections/{row['id']}", {"base_url": moved})
    assert load_spec(version).base_url == moved
    Api(ada).patch(f"/provider-connections/{row['id']}", {"enabled": False})
    with pytest.raises(DomainError, match="The connection Ours is switched off"):
        load_spec(version)
    health = Api(ada).get(f"/agents/{agent['id']}/health").json()
    assert "The connection Ours is switched off." in str(health["facts"])
    fixed = Api(ada).patch(f"/provider-connections/{row['id']}", {"provider": "anthropic"})
    assert fixed.json()["errors"][0]["code"] == "immutable"


@pytest.mark.parametrize(
    ("config", "field", "code"),
    [
        ({"base_url": "http://h/v1"}, "config.base_url", "not_allowed"),
        ({"secret": "openai"}, "config.secret", "not_allowed"),
        ({"provider": "anthropic"}, "config.provider", "provider_differs"),
        ({"model": ""}, "config.model", "required"),
        ({"connection": "nonsense"}, "config.connection", "does_not_exist"),
        (
            {"connection": "019b0000-0000-7000-8000-000000000000"},
            "config.connection",
            "does_not_exist",
        ),
    ],
)
def test_a_configuration_that_contradicts_its_connection_is_refused(
    connect, create, config, field, code
) -> None:
    row = connect(base_url="http://127.0.0.1:9/v1").json()
    answer = create(config={"connection": row["id"], "model": "m", **config})
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.data["errors"]] == [(field, code)]


def test_what_is_in_use_is_not_deleted(connect, create, ada, ana) -> None:
    row = connect(base_url="http://127.0.0.1:9/v1").json()
    agent = create(config={"connection": row["id"], "model": "m"}).data["id"]
    Api(ana).post(f"/agents/{agent}/deploy", {"environment": "dev"})
    url = f"/provider-connections/{row['id']}"
    refused = Api(ada).delete(url)
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["used_by"] == ["the agent Packer", "the deployment of Packer in dev"]
    inline = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    Api(ana).patch(f"/agents/{agent}", {"config": inline})
    assert Api(ada).delete(url).json()["used_by"] == ["the deployment of Packer in dev"]
    Api(ana).post(f"/agents/{agent}/deploy", {"environment": "dev"})
    assert Api(ada).delete(url).status_code == 204
    back = Api(ana).post(f"/agents/{agent}/rollback", {"version": 1})
    assert back.json()["errors"][0]["field"] == "config.connection"


def test_the_dialog_of_an_agent_offers_the_connections(connect, create, ada, model_server) -> None:
    row = connect(base_url=model_server.base_url, default_model="m-1").json()
    client = Client()
    client.force_login(ada)
    page = client.get("/agents/new/").content.decode()
    assert f'<option value="{row["id"]}">Ours (openai)</option>' in page
    made = client.post(
        "/agents/new/",
        {
            "kind": "model",
            "name": "Two",
            "slug": "two",
            "connection": row["id"],
            "config": '{"instructions": "Be brief."}',
        },
    )
    assert made.status_code == 302
    agent = Agent.objects.get(slug="two")
    assert agent.config["connection"] == row["id"]
    edit = client.get(f"/agents/{agent.pk}/edit/").content.decode()
    assert f'<option value="{row["id"]}" selected>' in edit
    page = client.get(f"/agents/{agent.pk}/").content.decode()
    assert "Connection" in page
    checked = Api(ada).post(f"/agents/{agent.pk}/check-connection").json()
    assert (checked["ok"], checked["model"]) == (True, "m-1")
    model_server.listed = ["m-1"]
    client.post(f"/agents/connections/{row['id']}/check/")
    shown = client.get(f"/agents/connections/{row['id']}/").content.decode()
    assert "lists 1 model." in shown
    used = client.get(f"/agents/connections/{row['id']}/?tab=uses").content.decode()
    assert ">Two</b>" in used
    assert ProviderConnection.objects.get().models_found == ["m-1"]


def test_the_playground_calls_the_server_of_the_connection(connect, create, ana) -> None:
    """Through the same resolution as runs: the version says nothing of the address."""
    with OpenAIServer(Reply(text="Two socks.")) as server:
        row = connect(base_url=server.base_url).json()
        agent = create(config={"connection": row["id"], "model": "m"}).data["id"]
        refused = Api(ana).post(f"/agents/{agent}/play", {"message": "Pack."}).json()
        assert refused["error"]["code"] == "unreachable"
        assert server.requests == []

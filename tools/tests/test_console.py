"""POST /tools/{id}/test: a real call, nothing kept."""

import pytest

from controlplane.kit import gate
from controlplane.kit.egress.tests.conftest import answer
from controlplane.kit.gate import Verdict
from governance.models import AuditEntry
from projects.vault import store
from tools.models import Tool, ToolCall, ToolVersion

URL = "/api/v1/tools"


@pytest.fixture
def test_it(api, make_tool):
    """`test_it(arguments, **tool)`: create a tool and test it."""

    def made(arguments, **fields):
        return api.post(f"{URL}/{make_tool(**fields).pk}/test", {"arguments": arguments})

    return made


test_it.__test__ = False


def http(server, **config):
    return {"kind": "http", "config": {"url": f"http://127.0.0.1:{server.port}/{{city}}", **config}}


def test_a_good_call_shows_output_and_timing(test_it):
    found = test_it({"a": [1]})
    assert found.status_code == 200
    body = found.json()
    assert body.pop("latency_ms") >= 0
    assert body == {
        "ok": True,
        "output": {"a": [1]},
        "error": None,
        "request": None,
        "response": None,
    }


def test_an_http_call_shows_request_and_response(test_it, serve, loopback):
    server = serve(answer(b'{"temp": 3}', headers="content-type: application/json\r\n"))
    body = test_it({"city": "Oslo"}, **http(server)).json()
    assert body["ok"]
    assert body["output"] == {"temp": 3}
    assert body["request"]["url"].endswith("/Oslo")
    assert body["response"]["status"] == 200


def test_a_failed_call_is_an_answer_and_says_why(test_it, serve, loopback):
    body = test_it({"city": "x"}, **http(serve(answer(b"no", status="404 Not Found")))).json()
    assert (body["ok"], body["output"], body["error"]["code"]) == (False, None, "http_status")
    assert body["response"]["body"] == "no"
    assert body["latency_ms"] > 0


def test_a_private_address_is_refused_at_the_call(test_it, serve):
    body = test_it({"city": "x"}, **http(serve(answer()))).json()
    assert (body["ok"], body["error"]["code"]) == (False, "egress_refused")


@pytest.mark.parametrize(
    ("function", "arguments", "field"),
    [
        ("echo", {"n": "one"}, "arguments.n"),
        ("echo", {}, "arguments.n"),
        ("echo", [], "arguments"),
        ("sleep", {"n": 1}, "arguments.seconds"),
    ],
)
def test_arguments_that_fail_the_schema_are_422(test_it, function, arguments, field):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    found = test_it(arguments, input_schema=schema, config={"function": function})
    assert found.status_code == 422
    assert found.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("body", [[], {"arguments": {}, "x": 1}])
def test_a_wrong_body_is_422(api, make_tool, body):
    assert api.post(f"{URL}/{make_tool().pk}/test", body).status_code == 422


def test_nothing_is_kept_but_who_tried_it(test_it):
    test_it({"canary": "tweet"})
    assert not ToolCall.objects.exists()
    assert Tool.objects.get().version == 1
    entry = AuditEntry.objects.get(action="tool.tested")
    assert entry.actor_name == "Ana"
    assert "tweet" not in repr((entry.before, entry.after))


def test_a_policy_may_forbid_the_call(test_it, serve, loopback, monkeypatch):
    server, asked = serve(answer()), []

    def deny(point, context):
        asked.append((point, context))
        return Verdict("deny", "policy_denied", "Not on Fridays.", ("p",))

    monkeypatch.setattr(gate, "_gate", lambda: deny)
    found = test_it({"city": "Oslo"}, **http(server))
    assert (found.status_code, found.json()["code"]) == (409, "policy_denied")
    assert found.json()["detail"] == "Not on Fridays."
    assert server.connections == 0
    [(point, context)] = asked
    assert point == "tool.call"
    assert context["tool"]["slug"] == "echo"
    assert context["arguments"] == {"city": "Oslo"}


def test_a_secret_is_sent_to_its_host_and_shown_nowhere(test_it, serve, loopback, project):
    server = serve(lambda conn, head: conn.sendall(answer(head)))
    store(project, name="key", value="hush-hush-hush", allowed_hosts=["127.0.0.1"], actor=None)
    found = test_it({"city": "x"}, **http(server, auth={"type": "bearer", "secret": "key"}))
    assert found.json()["ok"]
    assert b"Bearer hush-hush-hush" in server.requests[0]
    assert "hush" not in found.content.decode()


def test_a_secret_that_moved_to_another_host_is_refused_at_the_call(
    api, make_tool, serve, loopback, project
):
    server = serve(answer())
    secret = store(project, name="key", value="hush", allowed_hosts=["127.0.0.1"], actor=None)
    tool = make_tool(**http(server, auth={"type": "bearer", "secret": "key"}))
    secret.allowed_hosts = ["api.test"]
    secret.save()
    body = api.post(f"{URL}/{tool.pk}/test", {"arguments": {"city": "x"}}).json()
    assert body["error"]["code"] == "secret_host_refused"
    secret.delete()
    body = api.post(f"{URL}/{tool.pk}/test", {"arguments": {"city": "x"}}).json()
    assert body["error"]["code"] == "secret_not_found"
    assert server.connections == 0


@pytest.mark.parametrize("state", ["inactive", "quarantined"])
def test_a_tool_that_may_not_be_called_is_a_conflict(api, make_tool, state):
    tool = make_tool()
    if state == "inactive":
        Tool.objects.update(status="inactive")
    else:
        ToolVersion.objects.update(approval="quarantined")
    found = api.post(f"{URL}/{tool.pk}/test", {"arguments": {}})
    assert (found.status_code, found.json()["code"]) == (409, f"tool_{state}")

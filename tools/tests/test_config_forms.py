"""The form of each kind gives the config that the API takes."""

import re
from typing import Any

import pytest
from django.test import Client

from agents.services import create_agent
from projects.models import Project
from projects.people import User
from projects.vault import store
from tools.models import Tool, ToolServer

COMMON = {
    "name": "T", "slug": "t", "description": "", "tags": "", "input_schema": "",
    "output_schema": "", "effect_class": "read", "stakes": "read", "timeout_seconds": "5",
    "rate_limit": "",
}  # fmt: skip
HTTP = {
    "method": "POST", "url": "https://api.example.com/{x}", "query": '{"u": "c"}', "headers": "",
    "body_type": "json", "body": '{"a": "{y}"}', "auth": "header", "auth_secret": "key",
    "auth_name": "X-Key", "auth_prefix": "", "auth_username": "", "allowed_hosts": "",
    "idempotency_header": "",
}  # fmt: skip


@pytest.fixture
def web(project: Project) -> Client:
    """Ana's browser."""
    browser = Client()
    backend = "allauth.account.auth_backends.AuthenticationBackend"
    browser.force_login(User.objects.get(email="ana@example.com"), backend=backend)
    return browser


def made(web: Client, kind: str, **parts: str) -> Any:
    fields = {f"config-{name}": value for name, value in parts.items()}
    return web.post("/tools/new/", {**COMMON, "kind": kind, **fields})


def test_a_request_is_made_of_fields_and_shown_in_them_again(web, project):
    hosts = ["api.example.com"]
    store(project, name="key", value="sk-1234567890", allowed_hosts=hosts, actor=None)
    assert made(web, "http", **HTTP).status_code == 302
    tool = Tool.objects.get()
    assert tool.config["auth"] == {"type": "header", "secret": "key", "name": "X-Key"}
    assert (tool.config["body"], tool.config["query"]) == ({"a": "{y}"}, {"u": "c"})
    page = web.get(f"/tools/{tool.pk}/edit/").content.decode()
    assert 'value="https://api.example.com/{x}"' in page
    assert re.search(r'<option value="key" selected>', page)
    assert re.search(r'<option value="POST" selected>', page)
    assert 'name="config"' not in page
    assert f'hx-get="/tools/{tool.pk}/edit/?as=json"' in page
    as_json = web.get(f"/tools/{tool.pk}/edit/?as=json").content.decode()
    assert 'name="config"' in as_json
    # What the fields give is what there is: saving them changes nothing.
    fields = {f"config-{name}": value for name, value in HTTP.items()}
    saved = web.post(f"/tools/{tool.pk}/edit/", {**COMMON, "status": "active", **fields})
    assert saved.status_code == 302
    assert Tool.objects.get().version == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"url": "ftp://x/"}, "url", "must begin with http"),
        ({"auth_secret": ""}, "auth_secret", "This is required."),
        ({"body": "{"}, "body", "is not valid JSON"),
        ({"headers": "[]"}, "headers", "This must be an object"),
        ({"auth": "sing"}, "auth", "Select a valid choice"),
    ],
)
def test_what_is_wrong_stands_beside_its_part(web, project, change, field, words):
    hosts = ["api.example.com"]
    store(project, name="key", value="sk-1234567890", allowed_hosts=hosts, actor=None)
    answer = made(web, "http", **{**HTTP, **change})
    page = answer.content.decode()
    assert answer.status_code == 422
    beside = re.search(rf'name="config-{field}".*?(?=<label|</fieldset>)', page, re.S)
    assert beside is not None
    assert words in beside[0]
    assert not Tool.objects.exists()


def test_functions_servers_and_agents_are_chosen(web, project):
    options = '{"recipients": ["*@example.com"]}'
    assert made(web, "python", function="email_send", options=options).status_code == 302
    tool = Tool.objects.get()
    assert tool.config["options"] == {"recipients": ["*@example.com"]}
    tool.delete()
    assert made(web, "python", function="echo", options="").status_code == 302
    assert Tool.objects.get().config == {"function": "echo"}
    Tool.objects.all().delete()

    offered = {
        "name": "add", "title": "", "description": "", "input_schema": {"type": "object"},
        "output_schema": None, "annotations": {}, "sha256": "0" * 64, "fault": "",
    }  # fmt: skip
    other = {**offered, "name": "sub", "input_schema": {"type": "object", "required": ["a"]}}
    server = ToolServer.objects.create(
        project=project, name="S", url="https://h.example/mcp", discovered=[offered, other]
    )
    assert made(web, "mcp", tool=f"{server.pk}/add").status_code == 302
    tool = Tool.objects.get()
    assert tool.config == {"server": str(server.pk), "name": "add"}
    body = {**COMMON, "status": "active", "config-tool": f"{server.pk}/sub"}
    assert web.post(f"/tools/{tool.pk}/edit/", body).status_code == 302
    tool = Tool.objects.get()
    assert (tool.version, tool.approval, tool.input_schema["required"]) == (2, "approved", ["a"])
    tool.delete()

    config = {"provider": "openai", "base_url": "http://h.example/v1", "model": "m"}
    fields = {"slug": "helper", "name": "Helper", "kind": "model", "config": config}
    create_agent(project=project, actor=None, **fields)
    assert made(web, "agent", agent="helper").status_code == 302
    assert Tool.objects.get().input_schema["required"] == ["prompt"]

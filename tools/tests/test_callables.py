"""What the engine reads before a call, and what it remembers."""

import asyncio
import uuid

import pytest

from projects.vault import store
from tools import callables
from tools.callables import aload_callable, load_callable, resolve_secrets
from tools.calls import ToolError
from tools.models import Tool
from tools.services import change


@pytest.fixture(autouse=True)
def _forgotten():
    callables.forget()


def test_a_callable_carries_everything_a_call_needs(make_tool):
    tool = make_tool(
        tags=["a"],
        stakes="read",
        timeout_seconds=7,
        output_schema={"type": "object"},
        rate_limit={"limit": 3},
        description="Says it again",
    )
    found = load_callable(tool.current_id)
    assert (found.tool_id, found.version_id, found.project_id) == (
        tool.pk,
        tool.current_id,
        tool.project_id,
    )
    assert (found.slug, found.number, found.kind, found.pool) == ("echo", 1, "python", "inline")
    assert (found.timeout_seconds, found.description) == (7, "Says it again")
    assert found.rate_limit == {"limit": 3, "per_seconds": 1, "when_limited": "wait"}
    assert (found.refusal, found.effect_class) == ("", "read")
    assert found.facts() == {
        "id": str(tool.pk),
        "slug": "echo",
        "name": "Echo",
        "kind": "python",
        "version": 1,
        "effect_class": "read",
        "stakes": "read",
        "tags": ["a"],
    }


def test_a_callable_is_read_once_and_then_remembered(make_tool, django_assert_num_queries):
    tool = make_tool()
    with django_assert_num_queries(1):
        assert load_callable(tool.current_id) is load_callable(tool.current_id)
    with django_assert_num_queries(0):
        assert asyncio.run(aload_callable(tool.current_id)).slug == "echo"


def test_what_is_remembered_grows_old(make_tool, monkeypatch):
    tool = make_tool()
    monkeypatch.setattr(callables, "FRESH_SECONDS", 0)
    load_callable(tool.current_id)
    Tool.objects.update(status="inactive")
    found = load_callable(tool.current_id)
    assert (found.refusal_code, found.refusal) == ("tool_inactive", "Echo is inactive.")


def test_an_older_version_stays_callable(make_tool):
    tool = make_tool()
    first = tool.current_id
    change(tool, author=None, config={"function": "noop"})
    assert load_callable(first).config == {"function": "echo"}
    assert load_callable(tool.current_id).config == {"function": "noop"}


def test_a_version_that_is_gone_is_named(db):
    with pytest.raises(ToolError) as failed:
        load_callable(uuid.uuid4())
    assert failed.value.code == "tool_missing"


@pytest.mark.django_db(transaction=True)
def test_a_callable_is_read_from_an_event_loop_too(make_tool):
    assert asyncio.run(aload_callable(make_tool().current_id)).slug == "echo"


def test_secrets_are_opened_for_their_host(make_tool, project):
    store(project, name="key", value="hush", allowed_hosts=["a.test"], actor=None)
    tool = make_tool(
        kind="http", config={"url": "https://a.test/", "auth": {"type": "bearer", "secret": "key"}}
    )
    found = resolve_secrets(load_callable(tool.current_id))
    assert (found["key"].value, found["key"].allowed_hosts) == ("hush", ("a.test",))


def test_a_tool_without_secrets_asks_for_none(make_tool, django_assert_num_queries):
    found = load_callable(make_tool().current_id)
    with django_assert_num_queries(0):
        assert resolve_secrets(found) == {}

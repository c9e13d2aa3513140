"""The frozen snapshot of a version."""

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest

from agents.models import AgentVersion
from agents.spec import kept_spec, load_spec, make_spec
from controlplane.kit.ids import uuid7

pytestmark = pytest.mark.django_db


def test_a_spec_says_what_the_version_says(create, make_tool):
    make_tool(slug="echo")
    config = {
        "provider": "openai",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "tools": ["echo"],
        "parameters": {"max_tokens": 9},
        "limits": {"turns": 3, "cost": "0.50", "seconds": 30},
    }
    version = AgentVersion.objects.get(agent_id=create(config=config).data["id"])
    spec = load_spec(version)
    assert (spec.slug, spec.number, spec.kind, spec.model) == ("packer", 1, "model", "m")
    assert (spec.tools, spec.max_tokens, spec.timeout_seconds) == (("echo",), 9, 120)
    assert (spec.limits.turns, spec.limits.tokens, spec.limits.cost) == (3, None, Decimal("0.5"))
    with pytest.raises(FrozenInstanceError):
        spec.model = "other"


def test_a_version_is_read_once(agent, django_assert_num_queries):
    kept_spec.cache_clear()
    with django_assert_num_queries(1):
        assert load_spec(agent.current) is load_spec(agent.current_id)


def test_a_version_that_is_not_there():
    with pytest.raises(AgentVersion.DoesNotExist):
        load_spec(uuid7())


def test_a_configuration_of_an_older_release_gets_todays_defaults(agent):
    agent.current.config = {"provider": "openai", "model": "m"}
    agent.current.agent = agent
    spec = make_spec(agent.current)
    assert (spec.limits.turns, spec.tools, spec.output_schema) == (20, (), None)

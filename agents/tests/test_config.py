"""What a configuration may say, by kind; every fault is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.config import clean, fingerprint
from controlplane.kit.errors import InvalidInput

MODEL = {"provider": "openai", "model": "gpt-5-mini", "secret": "openai"}


def faults(kind, config):
    with pytest.raises(InvalidInput) as caught:
        clean(kind, config)
    return {(fault.field, fault.code) for fault in caught.value.errors}


def test_a_model_agent_gets_every_default():
    assert clean("model", MODEL) == {
        "provider": "openai",
        "base_url": None,
        "model": "gpt-5-mini",
        "secret": "openai",
        "instructions": "",
        "parameters": {},
        "tools": [],
        "output_schema": None,
        "limits": {"turns": 20, "tokens": None, "cost": None, "seconds": None},
        "timeout_seconds": 120,
    }


def test_the_contracts_example_is_taken_as_it_stands():
    example = {
        "provider": "openai",
        "base_url": None,
        "model": "gpt-5-mini",
        "secret": "openai",
        "instructions": "…",
        "parameters": {"temperature": 0.2},
        "tools": ["weather"],
        "output_schema": None,
        "limits": {"turns": 20, "tokens": 50000, "cost": "1.00", "seconds": 300},
    }
    cleaned = clean("model", example)
    assert cleaned["limits"] == {"turns": 20, "tokens": 50000, "cost": "1", "seconds": 300}
    assert {k: v for k, v in cleaned.items() if k not in ("limits", "timeout_seconds")} == {
        k: v for k, v in example.items() if k != "limits"
    }


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"provider": "acme"}, ("config.provider", "invalid_choice")),
        ({"provider": None}, ("config.provider", "required")),
        ({"model": ""}, ("config.model", "required")),
        ({"model": "m" * 121}, ("config.model", "max_length")),
        ({"modle": "x"}, ("config.modle", "unknown_field")),
        ({"base_url": "ftp://host"}, ("config.base_url", "invalid_url")),
        ({"base_url": "https://user:pw@host/v1"}, ("config.base_url", "invalid_url")),
        ({"base_url": "http://0x7f000001/v1"}, ("config.base_url", "invalid_url")),
        ({"base_url": "https://host/v1?key=1"}, ("config.base_url", "invalid_url")),
        ({"base_url": "https://host:99999/"}, ("config.base_url", "invalid_url")),
        ({"secret": None}, ("config.secret", "required")),
        ({"secret": "Not A Name"}, ("config.secret", "invalid")),
        ({"instructions": 7}, ("config.instructions", "invalid")),
        ({"instructions": "a\x00b"}, ("config.instructions", "invalid")),
        ({"parameters": []}, ("config.parameters", "invalid")),
        ({"parameters": {"temperature": 3}}, ("config.parameters.temperature", "invalid")),
        ({"parameters": {"temperature": True}}, ("config.parameters.temperature", "invalid")),
        ({"parameters": {"max_tokens": 0.5}}, ("config.parameters.max_tokens", "invalid")),
        ({"parameters": {"messages": []}}, ("config.parameters.messages", "not_allowed")),
        ({"parameters": {"stream": False}}, ("config.parameters.stream", "not_allowed")),
        ({"tools": "weather"}, ("config.tools", "invalid")),
        ({"tools": ["a", "B"]}, ("config.tools.1", "invalid")),
        ({"tools": ["a", "a"]}, ("config.tools.1", "duplicate")),
        ({"output_schema": {"type": "nothing"}}, ("config.output_schema.type", "invalid_schema")),
        ({"limits": {"turns": 0}}, ("config.limits.turns", "invalid")),
        ({"limits": {"cost": "much"}}, ("config.limits.cost", "invalid")),
        ({"limits": {"cost": "-1"}}, ("config.limits.cost", "invalid")),
        ({"limits": {"cost": "NaN"}}, ("config.limits.cost", "invalid")),
        ({"limits": {"steps": 3}}, ("config.limits.steps", "unknown_field")),
        ({"timeout_seconds": 0}, ("config.timeout_seconds", "invalid")),
    ],
)
def test_each_fault_of_a_model_agent_is_named(more, fault):
    assert fault in faults("model", {**MODEL, **more})


def test_all_faults_are_told_at_once():
    assert len(faults("model", {"tools": 3, "limits": 4, "parameters": 5})) == 5


def test_a_server_of_ones_own_needs_no_key():
    cleaned = clean("model", {**MODEL, "secret": None, "base_url": "http://127.0.0.1:8080/v1/"})
    assert cleaned["base_url"] == "http://127.0.0.1:8080/v1"


def test_the_embedded_model_takes_no_tools_no_server_and_no_key():
    cleaned = clean("model", {"provider": "embedded"})
    assert cleaned["model"] == "smollm2-135m"
    wrong = {"provider": "embedded", "tools": ["echo"], "base_url": "http://h/v1", "secret": "k"}
    assert faults("model", wrong) == {
        ("config.tools", "tools_not_supported"),
        ("config.base_url", "not_allowed"),
        ("config.secret", "not_allowed"),
    }


def test_remote_and_worker_agents_have_configurations_of_their_own():
    remote = clean("remote", {"url": "https://agents.example.com/packer"})
    assert (remote["protocol"], remote["max_concurrency"]) == ("http", 10)
    assert faults("remote", {"protocol": "smtp"}) == {
        ("config.protocol", "invalid_choice"),
        ("config.url", "required"),
    }
    assert clean("worker", {"entrypoint": "packer:v2"})["lease_seconds"] == 30
    assert faults("worker", {"entrypoint": "rm -rf /"}) == {("config.entrypoint", "invalid")}
    assert faults("worker", {}) == {("config.entrypoint", "required")}


def test_an_unknown_kind_is_refused():
    assert faults("robot", {}) == {("kind", "invalid_choice")}
    assert faults("model", []) == {("config", "invalid")}


def test_a_clean_configuration_stays_as_it_is():
    once = clean("model", {**MODEL, "limits": {"cost": 1.5}})
    assert clean("model", once) == once
    assert fingerprint(dict(reversed(once.items()))) == fingerprint(once)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=9,
)
keys = st.sampled_from(
    (
        "connection",
        "provider",
        "base_url",
        "model",
        "secret",
        "instructions",
        "parameters",
        "tools",
        "output_schema",
        "limits",
        "timeout_seconds",
        "url",
        "health_url",
        "entrypoint",
        "protocol",
    )
)


@given(st.sampled_from(("model", "remote", "worker")), st.dictionaries(keys, json, max_size=6))
def test_nothing_breaks_the_check_itself(kind, config):
    try:
        cleaned = clean(kind, config)
    except InvalidInput as exc:
        cleaned, noted = None, exc.errors
    assert noted if cleaned is None else clean(kind, cleaned) == cleaned

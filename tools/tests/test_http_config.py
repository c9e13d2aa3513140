"""Saving an HTTP tool: what is filled in, what is refused and how precisely."""

import pytest

from controlplane.kit.errors import InvalidInput
from tools.kinds import kind

URL = "https://api.example.com/v1/{city}"


def clean(**config):
    return kind("http").clean({"url": URL, **config})


def faults(**config):
    with pytest.raises(InvalidInput) as refused:
        clean(**config)
    assert refused.value.status == 422
    return {fault.field: fault.code for fault in refused.value.errors}


def test_what_is_left_out_takes_its_default():
    assert clean() == {
        "method": "GET",
        "url": URL,
        "headers": {},
        "query": {},
        "body": None,
        "body_type": "json",
        "auth": None,
        "allowed_hosts": [],
        "idempotency_header": None,
    }


def test_the_shape_of_the_contract_is_kept_as_it_is():
    given = {
        "method": "GET",
        "url": "https://host.test/{city}",
        "headers": {},
        "query": {"u": "c"},
        "body": None,
        "auth": {"type": "bearer", "secret": "openai"},
        "allowed_hosts": ["host.test"],
    }
    cleaned = kind("http").clean(given)
    assert {key: cleaned[key] for key in given} == given


def test_cleaning_twice_changes_nothing():
    once = clean(method="post", headers={"X-A": "1"}, body={"a": "{b}"})
    assert kind("http").clean(once) == once


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "example.com",
        "/path",
        "http://",
        "http:///x",
        "https://u:p@example.com/",
        "https://{host}/",
        "https://a{x}.test/",
        "https://example.com:{port}/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://a.test/#x",
        "https://a.test/a b",
        "https://a.test/\n",
        "https://[::zz]/",
        "https://a.test:99999/",
        "https://bücher.test/",
        "https://a.test:0/",
        7,
        ["x"],
        {"a": 1},
        True,
        "https://a.test/" + "x" * 5000,
    ],
)
def test_a_url_that_cannot_be_called_is_refused_on_save(url):
    assert faults(url=url) == {"config.url": "invalid_url"}


def test_a_missing_url_is_named():
    with pytest.raises(InvalidInput) as refused:
        kind("http").clean({})
    assert refused.value.errors[0].as_dict() == {
        "field": "config.url",
        "code": "required",
        "message": "This is required.",
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"x": 1}, {"config.x": "unknown_field"}),
        ({"method": "BREW"}, {"config.method": "invalid_choice"}),
        ({"headers": []}, {"config.headers": "invalid"}),
        ({"headers": {"a b": "c"}}, {"config.headers.a b": "invalid"}),
        ({"headers": {"X": 5}}, {"config.headers.X": "invalid"}),
        ({"headers": {"X": "a\r\nY: b"}}, {"config.headers.X": "invalid"}),
        ({"headers": {"Host": "evil"}}, {"config.headers.Host": "not_allowed"}),
        ({"headers": {"Authorization": "x"}}, {"config.headers.Authorization": "not_allowed"}),
        ({"query": {"a": {"b": 1}}}, {"config.query.a": "invalid"}),
        ({"body": {"a": 1}}, {"config.body": "invalid"}),
        ({"method": "POST", "body": 5, "body_type": "raw"}, {"config.body": "invalid"}),
        ({"method": "POST", "body": [1], "body_type": "form"}, {"config.body": "invalid"}),
        ({"body_type": "xml"}, {"config.body_type": "invalid_choice"}),
        ({"auth": {"type": "magic"}}, {"config.auth.type": "invalid_choice"}),
        ({"auth": {"type": ["bearer"]}}, {"config.auth.type": "invalid_choice"}),
        ({"auth": "bearer"}, {"config.auth.type": "invalid_choice"}),
        ({"auth": {"type": "bearer"}}, {"config.auth.secret": "required"}),
        ({"auth": {"type": "header", "secret": "s"}}, {"config.auth.name": "required"}),
        (
            {"auth": {"type": "header", "secret": "s", "name": "Host"}},
            {"config.auth.name": "invalid"},
        ),
        (
            {"auth": {"type": "bearer", "secret": "s", "token": "x"}},
            {"config.auth.token": "unknown_field"},
        ),
        ({"auth": {"type": "bearer", "secret": 5}}, {"config.auth.secret": "invalid"}),
        ({"allowed_hosts": "x"}, {"config.allowed_hosts": "invalid"}),
        ({"allowed_hosts": ["http://x/"]}, {"config.allowed_hosts.0": "invalid"}),
        ({"allowed_hosts": ["other.test"]}, {"config.allowed_hosts": "invalid"}),
        ({"idempotency_header": "a b"}, {"config.idempotency_header": "invalid"}),
    ],
)
def test_each_wrong_key_is_named(config, expected):
    assert faults(**config) == expected


def test_all_faults_come_at_once():
    assert set(faults(url="ftp://x", method="BREW", x=1)) == {
        "config.url",
        "config.method",
        "config.x",
    }


def test_the_secret_of_auth_is_what_a_call_needs():
    config = clean(auth={"type": "bearer", "secret": "openai"})
    assert kind("http").secret_names(config) == ("openai",)
    assert kind("http").secret_names(clean(auth={"type": "none"})) == ()

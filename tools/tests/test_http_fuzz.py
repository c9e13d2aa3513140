"""Whatever comes in, an HTTP tool is refused precisely or calls exactly the host it names."""

from urllib.parse import urlsplit

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.kit.errors import InvalidInput
from tools.calls import SecretValue, ToolError
from tools.http.request import prepare
from tools.kinds import kind

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "{x}",
        "{{x}}",
        "..",
        "@evil.test",
        "//evil.test",
        "\r\nX: y",
        "http://evil.test/",
        "{",
        "\x7f",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
urls = st.sampled_from(
    [
        "https://host.test",
        "https://host.test/{x}",
        "https://host.test/a/{x}/b?q={y}&r=1",
        "http://host.test:8080?{x}",
        "https://host.test/{x}{y}",
        "https://host.test/{{x}}/{y}.json",
    ]
)
secret = SecretValue("s", "hush", ("host.test",))


def attempt(work):
    """(result, None) or (None, refusal); anything else is a fault."""
    try:
        return work(), None
    except (InvalidInput, ToolError) as refused:
        return None, refused


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "method",
                "url",
                "headers",
                "query",
                "body",
                "body_type",
                "auth",
                "allowed_hosts",
                "idempotency_header",
            ]
        )
        | texts,
        json_values | urls,
        max_size=6,
    )
)
def test_any_config_is_cleaned_or_refused_by_name(config):
    cleaned, refused = attempt(lambda: kind("http").clean(config))
    if refused is None:
        assert kind("http").clean(cleaned) == cleaned
    else:
        assert all(fault.field.startswith("config.") for fault in refused.errors)


@settings(max_examples=400, deadline=None)
@given(
    url=urls,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    body=json_values,
    headers=st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["{x}", "a{y}", "b"])),
    arguments=st.dictionaries(st.sampled_from(["x", "y", "z"]), json_values),
    auth=st.sampled_from(
        [None, {"type": "bearer", "secret": "s"}, {"type": "query", "name": "k", "secret": "s"}]
    ),
)
def test_no_argument_changes_where_a_request_goes(url, method, body, headers, arguments, auth):
    config = kind("http").clean(
        {
            "url": url,
            "method": method,
            "headers": headers,
            "auth": auth,
            "body": None if method == "GET" else body,
        }
    )
    made, refused = attempt(lambda: prepare(config, arguments, secret=secret if auth else None))
    if refused is not None:
        assert refused.code in ("invalid_argument", "missing_argument")
        return
    wanted, found = urlsplit(url), httpx2.URL(made.url)
    assert (found.scheme, found.host) == (wanted.scheme, wanted.hostname)
    assert (found.port or None) == wanted.port
    assert found.path.count("/") >= wanted.path.count("/")
    assert not any("\r" in value or "\n" in value for value in made.headers.values())

"""From config and arguments to the request, to the letter."""

import json

import pytest

from tools.calls import SecretValue, ToolError
from tools.http.request import prepare
from tools.kinds import kind


def made(arguments=None, *, secret=None, idempotency=None, **config):
    cleaned = kind("http").clean({"url": "https://api.test/", **config})
    return prepare(cleaned, arguments or {}, secret=secret, idempotency=idempotency)


def refused(arguments, **config):
    with pytest.raises(ToolError) as failed:
        made(arguments, **config)
    return failed.value.code, failed.value.errors[0].field


@pytest.mark.parametrize(
    ("url", "arguments", "expected"),
    [
        ("https://a.test/{city}", {"city": "Oslo"}, "https://a.test/Oslo"),
        (
            "https://a.test/{city}/now",
            {"city": "São Paulo/x?y#z"},
            "https://a.test/S%C3%A3o%20Paulo%2Fx%3Fy%23z/now",
        ),
        ("https://a.test/{a}{b}", {"a": 1, "b": True}, "https://a.test/1true"),
        ("https://a.test/?q={q}&r=1", {"q": "a&b=c"}, "https://a.test/?q=a%26b%3Dc&r=1"),
        ("https://a.test/x?{q}", {"q": "a=b"}, "https://a.test/x?a%3Db"),
        ("https://a.test", {}, "https://a.test/"),
        ("https://a.test?x=1", {"y": 2}, "https://a.test/?x=1&y=2"),
        ("https://a.test/{{x}}", {}, "https://a.test/{x}"),
        ("https://a.test/{x}", {"x": {"k": [1]}}, "https://a.test/%7B%22k%22%3A%5B1%5D%7D"),
        ("https://a.test/p/{x}", {"x": None}, "https://a.test/p/"),
        ("https://a.test/{x}", {"x": "@evil.test/"}, "https://a.test/%40evil.test%2F"),
        ("https://a.test/{x}", {"x": "...."}, "https://a.test/...."),
    ],
)
def test_arguments_in_the_url_are_encoded(url, arguments, expected):
    assert made(arguments, url=url).url == expected


@pytest.mark.parametrize("value", [".", ".."])
def test_an_argument_cannot_climb_out_of_its_place(value):
    assert refused({"x": value}, url="https://a.test/users/{x}/card") == (
        "invalid_argument",
        "arguments.x",
    )
    assert refused({"x": "."}, url="https://a.test/{x}.")[0] == "invalid_argument"


def test_a_missing_argument_of_the_url_is_named():
    assert refused({}, url="https://a.test/{city}") == ("missing_argument", "arguments.city")


def test_arguments_used_nowhere_go_to_the_query_of_get_and_delete():
    for method in ("GET", "DELETE"):
        found = made({"a": "x y", "b": [1, 2], "c": None, "d": {"e": 1}}, method=method)
        assert found.url == "https://api.test/?a=x%20y&b=1&b=2&d=%7B%22e%22%3A1%7D"
        assert found.content is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_arguments_used_nowhere_go_to_the_json_body_of_the_others(method):
    found = made({"id": 7, "a": "ø", "b": None}, method=method, url="https://api.test/{id}")
    assert (found.method, found.url) == (method, "https://api.test/7")
    assert json.loads(found.content) == {"a": "ø", "b": None}
    assert found.headers["Content-Type"] == "application/json"


def test_without_arguments_a_post_has_no_body():
    assert made({}, method="POST").content is None


def test_the_query_takes_arguments_with_their_types():
    found = made(
        {"n": 5, "list": ["a", "b"], "no": None},
        query={"u": "c", "n": "{n}", "l": "{list}", "t": "x-{n}", "no": "{no}", "gone": "{gone}"},
    )
    assert found.url == "https://api.test/?u=c&n=5&l=a&l=b&t=x-5"


def test_headers_take_arguments():
    found = made({"n": 5}, headers={"X-N": "n={n}", "X-Gone": "{gone}"})
    assert found.headers == {"X-N": "n=5"}


def test_a_line_break_cannot_enter_a_header():
    assert refused({"n": "1\r\nX: y"}, headers={"X-N": "{n}"}) == (
        "invalid_argument",
        "arguments.n",
    )


def test_a_json_body_keeps_the_types_of_whole_places():
    found = made(
        {"n": 5, "flag": True, "list": [1], "rest": "r"},
        method="POST",
        body={"n": "{n}", "text": "n is {n}", "in": [{"f": "{flag}"}, "{list}"], "gone": "{gone}"},
    )
    assert json.loads(found.content) == {
        "rest": "r",
        "n": 5,
        "text": "n is 5",
        "in": [{"f": True}, [1]],
    }


def test_a_body_that_is_one_place_is_that_argument():
    found = made({"doc": [1, 2], "extra": 1}, method="POST", body="{doc}")
    assert (json.loads(found.content), found.url) == ([1, 2], "https://api.test/?extra=1")


def test_a_form_body_is_encoded():
    found = made({"a": "x&y", "b": 2}, method="POST", body_type="form", body={"c": "{a}!"})
    assert found.content == b"b=2&c=x%26y%21"
    assert found.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_raw_body_is_text_and_keeps_its_content_type():
    found = made(
        {"n": 5, "q": 1},
        method="POST",
        body_type="raw",
        body="<n>{n}</n>{ x }",
        headers={"content-type": "application/xml"},
    )
    assert (found.content, found.url) == (b"<n>5</n>{ x }", "https://api.test/?q=1")
    assert found.headers == {"content-type": "application/xml"}


def test_half_a_character_is_refused():
    with pytest.raises(ToolError, match="half a character"):
        made({"q": "\ud800"})
    with pytest.raises(ToolError, match="half a character"):
        made({"q": "\ud800"}, method="POST")


@pytest.mark.parametrize(
    ("auth", "header", "expected"),
    [
        ({"type": "bearer"}, "Authorization", "Bearer hush"),
        ({"type": "basic", "username": "ana"}, "Authorization", "Basic YW5hOmh1c2g="),
        ({"type": "basic"}, "Authorization", "Basic aHVzaA=="),
        ({"type": "header", "name": "X-Key"}, "X-Key", "hush"),
        ({"type": "header", "name": "X-Key", "prefix": "Token "}, "X-Key", "Token hush"),
    ],
)
def test_a_secret_stands_where_auth_says(auth, header, expected):
    found = made(auth={**auth, "secret": "s"}, secret=SecretValue("s", "hush\n"))
    assert found.headers == {header: expected}


def test_a_secret_in_the_query():
    found = made(
        {"a": 1},
        auth={"type": "query", "name": "key", "secret": "s"},
        secret=SecretValue("s", "h&sh"),
    )
    assert found.url == "https://api.test/?a=1&key=h%26sh"


def test_a_secret_that_cannot_stand_in_a_header_is_named():
    with pytest.raises(ToolError, match="The secret s holds a line break") as failed:
        made(auth={"type": "bearer", "secret": "s"}, secret=SecretValue("s", "a\nb"))
    assert failed.value.code == "secret_unusable"


def test_the_call_may_go_to_the_host_of_the_url_or_the_allowed_ones():
    assert made().hosts == ("api.test",)
    assert made(allowed_hosts=["api.test", "*.cdn.test"]).hosts == ("api.test", "*.cdn.test")


def test_the_key_of_a_repetition_is_a_header():
    assert made(idempotency=("Idempotency-Key", "k1")).headers == {"Idempotency-Key": "k1"}


def test_a_body_that_is_only_an_argument_not_given_is_no_body():
    sent = made({}, method="POST", body="{payload}")
    assert (sent.content, "Content-Type" in sent.headers) == (None, False)
    beside = made({"x": 1}, method="POST", body="{payload}")
    assert (beside.content, beside.url) == (None, "https://api.test/?x=1")

"""HTTP tools against real servers: outputs, failures, secrets, refusals."""

import json
import time

import pytest

from controlplane.kit.egress.tests.conftest import answer
from tools.calls import SecretValue, ToolError
from tools.tests.conftest import make_callable

JSON = "content-type: application/json\r\n"


def tool(server, path="/", *, host="127.0.0.1", **fields):
    config = {"url": f"http://{host}:{server.port}{path}", **fields.pop("config", {})}
    return make_callable("http", config=config, **fields)


def failure(run, *args, **kwargs):
    with pytest.raises(ToolError) as failed:
        run(*args, **kwargs)
    return failed.value


def test_a_json_answer_is_the_output(run, serve, loopback):
    server = serve(answer(b'{"temp": 21.5}', headers=JSON))
    result = run(tool(server, "/{city}"), {"city": "Oslo", "unit": "c"})
    assert result.output == {"temp": 21.5}
    assert result.latency_ms > 0
    assert server.requests[0].startswith(b"GET /Oslo?unit=c HTTP/1.1")


@pytest.mark.parametrize(
    ("body", "content_type", "output"),
    [
        (b"[1, 2]", "application/json; charset=utf-8", [1, 2]),
        (b"null", "application/json", None),
        (b"5", "application/problem+json", 5),
        (b'{"a": 1}', "text/plain", {"a": 1}),
        (b'{"a": 1}', "", {"a": 1}),
        (b"hello", "text/plain", {"text": "hello"}),
        (b"5", "text/plain", {"text": "5"}),
        (b"{not json", "application/json", {"text": "{not json"}),
        (b"<p>x</p>", "text/html", {"text": "<p>x</p>"}),
        (b"", "application/json", {"text": ""}),
        ("é".encode("latin-1"), "text/plain; charset=iso-8859-1", {"text": "é"}),
    ],
)
def test_what_is_json_is_decoded_and_the_rest_is_text(
    run, serve, loopback, body, content_type, output
):
    header = f"content-type: {content_type}\r\n" if content_type else ""
    assert run(tool(serve(answer(body, headers=header)))).output == output


@pytest.mark.parametrize(
    ("body", "content_type", "word"),
    [
        (b'{"a": NaN}', "application/json", "NaN"),
        (b"[Infinity]", "application/json", "Infinity"),
        (b"[-Infinity]", "application/json", "Infinity"),
        (b'{"a": "x\\u0000y"}', "application/json", "NUL"),
        (b"x\x00y", "text/plain", "NUL"),
        (b'{"a": "\xff"}', "application/json", "UTF-8"),
        (b"\xff\xfe", "text/plain", "UTF-8"),
        (b"\x89PNG\xff", "image/png", "image/png"),
        (b'["\\ud800"]', "application/json", ""),
        (b"[" * 100_000, "application/json", ""),
        (b"x", "text/plain; charset=klingon", "klingon"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_a_precise_error(
    run, serve, loopback, body, content_type, word
):
    server = serve(answer(body, headers=f"content-type: {content_type}\r\n"))
    error = failure(run, tool(server))
    assert error.code == "output_not_storable"
    assert word in error.message
    assert (error.retryable, error.fate) == (False, "answered")
    assert error.response["status"] == 200


@pytest.mark.parametrize(
    ("status", "is_retryable", "fate"),
    [
        ("400 Bad Request", False, "answered"),
        ("404 Not Found", False, "answered"),
        ("408 Request Timeout", True, "answered"),
        ("429 Too Many Requests", True, "answered"),
        ("500 Internal Server Error", True, "answered"),
        ("502 Bad Gateway", True, "unknown"),
        ("504 Gateway Timeout", True, "unknown"),
        ("599 Odd", True, "answered"),
    ],
)
def test_an_answer_of_400_or_more_fails_with_its_status(
    run, serve, loopback, status, is_retryable, fate
):
    error = failure(run, tool(serve(answer(b"why", status=status))))
    assert (error.code, error.retryable, error.fate) == ("http_status", is_retryable, fate)
    assert f"Probe answered {status[:3]}" in error.message
    assert error.response["body"] == "why"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("-5", None)],
)
def test_retry_after_is_kept(run, serve, loopback, header, seconds):
    server = serve(answer(status="503 Busy", headers=f"retry-after: {header}\r\n"))
    assert failure(run, tool(server)).retry_after_seconds == seconds


def test_a_private_address_is_refused_at_the_call(run, serve):
    server = serve(answer())
    error = failure(run, tool(server))
    assert (error.code, error.fate, error.retryable) == ("egress_refused", "not_sent", False)
    assert "loopback" in error.message
    assert server.connections == 0


def test_an_unreachable_host_is_named(run, names):
    error = failure(run, make_callable("http", config={"url": "http://nowhere.test/"}))
    assert (error.code, error.retryable, error.fate) == ("unreachable", True, "not_sent")
    assert "nowhere.test" in error.message


def test_a_late_answer_leaves_the_effect_unknown(run, serve, loopback):
    server = serve(lambda conn, head: conn.recv(1))
    error = failure(run, tool(server, timeout_seconds=0.3))
    assert (error.code, error.fate, error.retryable) == ("timeout", "unknown", True)
    assert 200 < error.latency_ms < 5000


def test_the_shorter_of_two_timeouts_counts(run, serve, loopback):
    server = serve(lambda conn, head: conn.recv(1))
    started = time.monotonic()
    assert failure(run, tool(server), timeout_seconds=0.2).code == "timeout"
    assert time.monotonic() - started < 5


def test_a_giant_answer_is_refused(run, serve, loopback):
    server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n")
    error = failure(run, tool(server))
    assert (error.code, error.fate) == ("response_too_large", "answered")


def test_a_redirect_leaves_neither_the_allowed_hosts_nor_its_secret(run, serve, names, loopback):
    names.update({"one.test": ["127.0.0.1"], "two.test": ["127.0.0.1"]})
    target = serve(answer(b"{}"))
    server = serve(
        answer(b"", status="302 Found", headers=f"location: http://two.test:{target.port}/\r\n")
    )
    secret = {"s": SecretValue("s", "hush-hush", ("one.test",))}
    auth = {"type": "header", "name": "X-Key", "secret": "s"}
    error = failure(run, tool(server, host="one.test", config={"auth": auth}), secrets=secret)
    assert error.code == "egress_refused"
    both = {"auth": auth, "allowed_hosts": ["one.test", "two.test"]}
    assert run(tool(server, host="one.test", config=both), secrets=secret).output == {}
    assert b"hush" in server.requests[-1]
    assert b"hush" not in target.requests[0]


def test_a_secret_for_another_host_is_refused(run, serve, loopback):
    server = serve(answer())
    auth = {"type": "bearer", "secret": "openai"}
    error = failure(
        run,
        tool(server, config={"auth": auth}),
        secrets={"openai": SecretValue("openai", "hush-hush", ("api.openai.com",))},
    )
    assert error.code == "secret_host_refused"
    assert error.message == (
        "The secret openai is bound to api.openai.com and may not be sent to 127.0.0.1."
    )
    assert server.connections == 0


def test_a_missing_secret_is_named(run, serve):
    auth = {"type": "bearer", "secret": "openai"}
    error = failure(run, tool(serve(answer()), config={"auth": auth}))
    assert (error.code, error.fate) == ("secret_not_found", "not_sent")


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer"},
        {"type": "basic", "username": "ana"},
        {"type": "header", "name": "X-Key", "prefix": "Token "},
        {"type": "query", "name": "key"},
    ],
)
def test_a_secret_is_in_no_record_log_error_or_output(run, serve, loopback, auth):
    def echo(conn, head):
        status = "500 Oops" if b"GET /fail" in head else "200 OK"
        body = json.dumps({"you sent": head.decode()}).encode()
        conn.sendall(answer(body, status=status, headers=JSON + "x-echo: h%2Fsh-hush\r\n"))

    server = serve(echo)
    lines = []
    given = {
        "secrets": {"s": SecretValue("s", "h/sh-hush", ("127.0.0.1",))},
        "log": lambda *line: lines.append(line),
    }
    config = {"config": {"auth": {**auth, "secret": "s"}}}
    result = run(tool(server, **config), {"a": "b"}, **given)
    error = failure(run, tool(server, "/fail", **config), **given)
    assert server.requests
    kept = repr((result, error.as_dict(), error.request, error.response, lines))
    for trace in ("h/sh", "h%2Fsh", "aDov", "YW5hOmgvc2gtaHVzaA", "aC9zaC1odXNo"):
        assert trace not in kept
    assert "•••••" in kept


def test_a_secret_is_never_printed():
    assert "hush" not in repr(SecretValue("s", "hush"))


def test_an_idempotent_tool_sends_its_key(run, serve, loopback):
    server = serve(answer())
    run(tool(server, effect_class="idempotent"), idempotency_key="k-1")
    run(
        tool(server, effect_class="idempotent", config={"idempotency_header": "X-Once"}),
        idempotency_key="k-2",
    )
    run(tool(server, effect_class="unsafe"), idempotency_key="k-3")
    heads = [head.lower() for head in server.requests]
    assert b"idempotency-key: k-1" in heads[0]
    assert b"x-once: k-2" in heads[1]
    assert b"k-3" not in heads[2]


def test_the_call_writes_one_log_line(run, serve, loopback):
    lines = []
    run(tool(serve(answer()), "/x?y=1"), log=lambda *line: lines.append(line))
    [(level, message, _)] = lines
    assert level == "info"
    assert "/x answered 200 in" in message


def test_the_record_shows_request_and_response(run, serve, loopback):
    server = serve(answer(b"x" * 30_000, headers="set-cookie: a=b\r\n"))
    result = run(tool(server, config={"method": "POST"}), {"a": 1})
    assert result.request["body"] == '{"a":1}'
    assert result.request["method"] == "POST"
    assert result.response["bytes"] == 30_000
    assert len(result.response["body"]) < 21_000
    assert result.response["headers"]["set-cookie"] == "•••••"

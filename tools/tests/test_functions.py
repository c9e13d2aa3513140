"""The functions that come with the house: they calculate, transform, read, send; offline."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from standardwebhooks import Webhook

from tools.calls import SecretValue, ToolError
from tools.tests.conftest import make_callable

Run = Callable[..., Any]
KEY = "whsec_" + base64.b64encode(b"k" * 24).decode()


def failure(run: Run, tool: Any, arguments: dict[str, Any], **context: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        run(tool, arguments, **context)
    return caught.value


def named(function: str, **options: Any) -> Any:
    config = {"function": function, **({"options": options} if options else {})}
    return make_callable(config=config)


@pytest.mark.parametrize(
    ("operation", "numbers", "more", "text"),
    [
        ("add", ["0.1", "0.2"], {}, "0.3"),
        ("add", [0.1, 0.2], {}, "0.3"),
        ("subtract", [10, "2.5", 1], {}, "6.5"),
        ("divide", [10, 3], {"places": 4}, "3.3333"),
        ("multiply", ["1.005", 1], {"places": 2, "rounding": "half_up"}, "1.01"),
        ("mean", [1, 2, 6], {}, "3"),
        ("median", [9, 1, 5], {}, "5"),
        ("power", [2, 10], {}, "1024"),
        ("maximum", ["-3", "-1"], {}, "-1"),
        ("remainder", [7, 4], {}, "3"),
    ],
)
def test_numbers_are_exact(run, operation, numbers, more, text):
    arguments = {"operation": operation, "numbers": numbers, **more}
    assert run(named("number_math"), arguments).output["text"] == text


def test_what_has_no_result_says_so(run):
    tool = named("number_math")
    assert failure(run, tool, {"operation": "divide", "numbers": [1, 0]}).code == "no_result"
    assert failure(run, tool, {"operation": "add", "numbers": ["x"]}).code == "input_invalid"
    assert failure(run, tool, {"operation": "power", "numbers": [9, 1e9]}).code == "no_result"
    assert failure(run, tool, {"operation": "multiply", "numbers": ["1e49"] * 40}).code
    assert (
        failure(run, tool, {"operation": "sing", "numbers": [1]})
        .errors[0]
        .field.endswith("operation")
    )


def test_dates_go_by_the_calendar_and_the_clock(run):
    add, between = named("date_add"), named("date_difference")
    short = run(add, {"date": "2026-01-31", "months": 1}).output
    assert short["date"] == "2026-02-28T00:00:00+00:00"
    assert short["weekday"] == "Saturday"
    # The night that is an hour short: a day later is the same hour, 24 hours later is not.
    night = {"date": "2026-03-28T12:00:00", "time_zone": "Europe/Oslo"}
    assert run(add, {**night, "days": 1}).output["date"] == "2026-03-29T12:00:00+02:00"
    assert run(add, {**night, "hours": 24}).output["date"] == "2026-03-29T13:00:00+02:00"
    assert run(between, {"from": "2026-01-01", "to": "2026-01-11T12:00"}).output == {
        "value": 10.5,
        "whole": 10,
    }
    assert failure(run, add, {"date": "soon"}).code == "input_invalid"
    assert failure(run, add, {"date": "2026-01-01", "time_zone": "X/Y"}).code == "input_invalid"
    assert failure(run, add, {"date": "9999-12-31", "years": 9}).code == "no_result"


def test_json_is_transformed_by_an_expression_or_a_template(run):
    tool = named("json_transform")
    data = {"items": [{"n": "a", "p": 5}, {"n": "b", "p": 20}]}
    chosen = "data.items.filter(i, i.p > 10).map(i, i.n)"
    assert run(tool, {"data": data, "expression": chosen}).output == {"result": ["b"]}
    template = {"first": "${data.items[0].n}", "text": "costs ${data.items[1].p}"}
    assert run(tool, {"data": data, "template": template}).output["result"] == {
        "first": "a",
        "text": "costs 20",
    }
    assert failure(run, tool, {"data": 1, "expression": "data +"}).code == "expression_invalid"
    assert failure(run, tool, {"data": {}, "expression": "data.x"}).code == "expression_error"
    both = {"data": 1, "expression": "data", "template": 1}
    assert failure(run, tool, both).code == "input_invalid"


def test_a_request_gives_what_came_and_keeps_to_its_hosts(run, serve, loopback):
    answer = b'{"a": 1}'
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
    url = f"http://127.0.0.1:{serve(head + answer).port}/"
    found = run(named("http_request"), {"url": url, "query": {"q": "x y"}}).output
    assert (found["status"], found["body"]) == (404, {"a": 1})
    bound = named("http_request", allowed_hosts=["api.example.com"])
    assert failure(run, bound, {"url": url}).code == "egress_refused"
    split = {"url": url, "headers": {"X": "a\r\nB: c"}}
    assert failure(run, named("http_request"), split).code == "input_invalid"


def test_a_request_to_a_private_address_is_refused(run):
    refused = failure(run, named("http_request"), {"url": "http://169.254.169.254/latest"})
    assert (refused.code, refused.fate) == ("egress_refused", "not_sent")


def test_a_webhook_is_signed_and_keeps_its_id(run, serve, loopback):
    seen: list[bytes] = []

    def handler(conn: Any, head: bytes) -> None:
        while b"\r\n\r\n" not in head or b'"data"' not in head:
            head += conn.recv(65536)
        seen.append(head)
        conn.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    host = f"127.0.0.1:{serve(handler).port}"
    secret = SecretValue("hook", KEY, (host,))
    tool = named("webhook_send", secret="hook", url=f"http://{host}/")  # noqa: S106
    arguments = {"type": "run.failed", "data": {"id": 7}}
    sent = run(tool, arguments, secrets={"hook": secret}, idempotency_key="k-1").output
    assert sent == {"id": "msg_k-1", "status": 204}
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    headers = {name.lower(): value for name, value in lines}
    message = Webhook(KEY).verify(body, headers)
    assert (message or json.loads(body))["data"] == {"id": 7}
    elsewhere = SecretValue("hook", KEY, ("hooks.example.com",))
    refused = failure(run, tool, arguments, secrets={"hook": elsewhere})
    assert refused.code == "secret_host_refused"
    assert "hooks.example.com" in refused.message


def test_mail_goes_to_whom_the_options_allow(run, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    tool = named("email_send", recipients=["*@example.com"])
    letter = {"to": ["ops@example.com"], "subject": "Down", "text": "It is.", "html": "<b>It</b>"}
    assert run(tool, letter).output == {"recipients": ["ops@example.com"]}
    assert (mail.outbox[0].subject, len(mail.outbox[0].alternatives)) == ("Down", 1)
    assert failure(run, tool, {**letter, "to": ["x@evil.example"]}).code == "recipient_refused"
    assert failure(run, tool, {**letter, "to": ["no address"]}).code == "input_invalid"
    assert failure(run, tool, {**letter, "subject": "a\nBcc: x@example.com"}).code
    assert len(mail.outbox) == 1


class Relay:
    """A TCP port before the tests' PostgreSQL, which listens on a socket file only."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.path)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            end.close()


@pytest.fixture
def warehouse(db: None) -> Iterator[str]:
    """host:port of a database."""
    connection.ensure_connection()
    info = connection.connection.info
    relay = Relay(f"{info.host}/.s.PGSQL.{info.port}")
    yield f"127.0.0.1:{relay.port}"
    relay.listener.close()


def reading(warehouse: str, **options: Any) -> tuple[Any, dict[str, SecretValue]]:
    info = connection.connection.info
    value = f"postgresql://{info.user}:pass-canary-77@{warehouse}/{info.dbname}"
    secret = SecretValue("db", value, (warehouse,))
    return named("sql_read", secret="db", **options), {"db": secret}  # noqa: S106


def test_sql_reads_rows_and_nothing_else(run, warehouse, loopback):
    tool, secrets = reading(warehouse, max_rows=3)

    def ask(query: str, parameters: Any = None) -> Any:
        arguments = {"query": query, **({"parameters": parameters} if parameters else {})}
        return run(tool, arguments, secrets=secrets).output

    found = ask("SELECT n, n / 2.0 AS half, now() AS at FROM generate_series(1, 9) n")
    assert found["columns"] == ["n", "half", "at"]
    assert (found["row_count"], found["truncated"]) == (3, True)
    assert found["rows"][1]["half"].startswith("1.0")
    assert ask("SELECT %s::int + 1 AS n", [41])["rows"] == [{"n": 42}]
    assert ask("SELECT 'a%' AS t")["rows"] == [{"t": "a%"}]

    def refused(query: str) -> ToolError:
        return failure(run, tool, {"query": query}, secrets=secrets)

    assert refused("DELETE FROM tool").code == "query_refused"
    assert refused("COPY tool TO PROGRAM 'x'").code == "query_refused"
    written = refused("WITH d AS (DELETE FROM tool RETURNING 1) SELECT * FROM d")
    assert "read-only" in written.message
    assert "multiple commands" in refused("SELECT 1; DELETE FROM tool").message
    off = refused("SELECT set_config('transaction_read_only', 'off', false)")
    assert off.code == "query_failed"
    assert "pass-canary" not in refused("SELECT nonsense").message


def test_sql_has_a_time_limit_and_goes_where_the_secret_may(run, warehouse, settings, loopback):
    tool, secrets = reading(warehouse)
    slow = failure(
        run, tool, {"query": "SELECT pg_sleep(30)"}, secrets=secrets, timeout_seconds=0.5
    )
    assert slow.code == "timeout"
    bound = {"db": SecretValue("db", secrets["db"].value, ("db.example.com",))}
    assert failure(run, tool, {"query": "SELECT 1"}, secrets=bound).code == "secret_host_refused"
    for value in ("postgresql:///x", "host=/tmp dbname=x", "host=a,b", "service=x", "no"):
        odd = {"db": SecretValue("db", value, ("*",))}
        assert failure(run, tool, {"query": "SELECT 1"}, secrets=odd).code == "secret_unusable"
    settings.SPARKOPS_EGRESS_ALLOW = []
    private = failure(run, tool, {"query": "SELECT 1"}, secrets=secrets)
    assert (private.code, private.fate) == ("egress_refused", "not_sent")


def test_options_are_checked_when_a_tool_is_saved(api, project):
    def codes(**config: Any) -> set[tuple[str, str]]:
        body = {"project": str(project.pk), "slug": "s", "name": "S", "kind": "python"}
        answer = api.post("/api/v1/tools", {**body, "config": config}, format="json")
        assert answer.status_code == 422, answer.content
        return {(fault["field"], fault["code"]) for fault in answer.json()["errors"]}

    fields = {field for field, _ in codes(function="sql_read", options={"rows": 1})}
    assert fields == {"config.options.rows", "config.options.secret"}
    missing = {"secret": "nope"}
    assert codes(function="sql_read", options=missing) == {
        ("config.options.secret", "does_not_exist")
    }
    assert codes(function="echo", options={"x": 1}) == {("config.options", "unknown_field")}
    known = {one["name"] for one in api.get("/api/v1/tools/functions").json()}
    assert known >= {"http_request", "json_transform", "sql_read", "date_add", "number_math",
                     "email_send", "webhook_send", "date_difference"}  # fmt: skip

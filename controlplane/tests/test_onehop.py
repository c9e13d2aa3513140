"""A request is answered in one thread, from its first signal to its last; streams as well."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import signals
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from controlplane.onehop import OneHopHandler

threads: list[int] = []


def page(request: HttpRequest) -> HttpResponse:
    threads.append(threading.get_ident())
    answer = HttpResponse(request.body + request.GET.get("a", "").encode(), status=201)
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2")
    return answer


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        for part in (b"first ", b"second"):
            threads.append(threading.get_ident())
            yield part

    threads.append(threading.get_ident())
    return StreamingHttpResponse(parts())


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


urlpatterns = [path("page", page), path("stream", stream), path("broken", broken)]
Ask = Callable[..., Any]


@pytest.fixture
def ask() -> Ask:
    """Send one request through the handler; its messages."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        handler = OneHopHandler(2)

    async def asked(url: str, *parts: bytes, method: str = "GET") -> list[dict[str, Any]]:
        route, _, query = url.partition("?")
        scope = {"type": "http", "method": method, "path": route, "headers": []}
        scope |= {"query_string": query.encode(), "server": ("127.0.0.1", 80), "root_path": ""}
        waiting = [
            {"type": "http.request", "body": part, "more_body": part is not parts[-1]}
            for part in parts
        ] or [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        with override_settings(ROOT_URLCONF=__name__):
            await handler(scope, receive, send)
        return sent

    return asked


async def test_body_query_status_and_cookies_arrive(ask: Ask) -> None:
    start, body = await ask("/page?a=3", b"1", b"2", method="POST")
    assert (start["status"], body["body"]) == (201, b"123")
    cookies = [value for name, value in start["headers"] if name == b"Set-Cookie"]
    assert [cookie.split(b";")[0] for cookie in cookies] == [b"one=1", b"two=2"]


async def test_start_view_and_end_of_a_request_are_in_one_thread(ask: Ask) -> None:
    threads.clear()

    def heard(**_: Any) -> None:
        threads.append(threading.get_ident())

    signals.request_started.connect(heard)
    signals.request_finished.connect(heard)
    try:
        await ask("/page")
    finally:
        signals.request_started.disconnect(heard)
        signals.request_finished.disconnect(heard)
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_a_stream_is_sent_part_by_part_from_its_thread(ask: Ask) -> None:
    threads.clear()
    _, first, second, last = await ask("/stream")
    assert (first["body"], second["body"], last.get("more_body")) == (b"first ", b"second", None)
    assert len(set(threads)) == 1


async def test_a_failing_view_answers_500(ask: Ask) -> None:
    start, _ = await ask("/broken")
    assert start["status"] == 500


async def test_a_client_that_leaves_before_its_body_is_whole_gets_nothing(ask: Ask) -> None:
    handler = OneHopHandler(1)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    await handler({"type": "http"}, receive, send)

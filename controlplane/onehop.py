"""Serves Django's synchronous views under ASGI with one change of thread a request.

Django's own handler crosses between loop and threads about six times a request: for the signals,
the middleware, the view and the close, and starts a thread each time. All our views and middleware
are synchronous, so the whole request can run in one thread of a pool.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

Receive = Callable[[], Awaitable[Any]]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
# A client that takes nothing of a stream for so long loses it: it holds a thread of the pool.
STALLED_AFTER_SECONDS = 30


class OneHopHandler(ASGIHandler):
    """An ASGI application for synchronous views; `threads` bounds the requests at a time."""

    def __init__(self, threads: int) -> None:
        BaseHandler.__init__(self)  # past the parent, which would load the middleware twice
        self.load_middleware(is_async=False)
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="request")

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()

        def push(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result(STALLED_AFTER_SECONDS)

        work = partial(contextvars.copy_context().run, self.answer, scope, body, push)
        try:
            for message in await loop.run_in_executor(self.pool, work):
                await send(message)
        finally:
            body.close()

    def answer(
        self, scope: Mapping[str, Any], body: IO[bytes], push: Callable[[Message], None]
    ) -> list[Message]:
        """What is to be sent, made in the thread that runs this; a stream is pushed from here."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        response._handler_class = self.__class__
        start = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": _headers(response),
        }
        try:
            if not response.streaming:
                return [start, {"type": "http.response.body", "body": response.content}]
            if isinstance(response, FileResponse):
                response.block_size = self.chunk_size
            push(start)
            for part in response:
                push({"type": "http.response.body", "body": part, "more_body": True})
            return [{"type": "http.response.body", "body": b""}]
        finally:
            response.close()


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    """Headers and cookies as ASGI wants them."""
    cookies = [cookie.output(header="").strip() for cookie in response.cookies.values()]
    return [
        *((name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()),
        *((b"Set-Cookie", cookie.encode("ascii")) for cookie in cookies),
    ]

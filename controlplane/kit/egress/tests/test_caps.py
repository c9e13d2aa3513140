"""Size and time: no answer is too big, too squeezed or too slow to be cut off."""

import asyncio
import gzip
import time
import zlib

import httpx2
import pytest

from controlplane.kit import egress
from controlplane.kit.egress import EgressTimeout, EgressTooLarge, EgressUnreachable, resolution
from controlplane.kit.egress.tests.conftest import answer

# Far above every timeout asked for here, far below what the servers would take.
SOON = 10


def url(server, path="/"):
    return f"http://127.0.0.1:{server.port}{path}"


def chunked(conn, parts, pause=0.0):
    conn.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for part in parts:
        conn.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        time.sleep(pause)
    conn.sendall(b"0\r\n\r\n")


def test_an_answer_of_just_the_cap_passes(call, serve, loopback):
    assert len(call("GET", url(serve(answer(b"x" * 1000))), max_bytes=1000).content) == 1000


def test_an_answer_over_the_cap_is_refused(call, serve, loopback):
    with pytest.raises(EgressTooLarge, match="larger than 1000 bytes") as refused:
        call("GET", url(serve(answer(b"x" * 1001))), max_bytes=1000)
    assert (refused.value.code, refused.value.sent) == ("response_too_large", True)


def test_an_announced_giant_is_refused_before_its_body(call, serve, loopback):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"
    server = serve(lambda conn, _: (conn.sendall(head), conn.recv(1)))
    started = time.monotonic()
    with pytest.raises(EgressTooLarge):
        call("GET", url(server), max_bytes=1000)
    assert time.monotonic() - started < SOON


def test_the_length_of_an_answer_without_body_does_not_count(call, serve, loopback):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"
    assert call("HEAD", url(serve(head)), max_bytes=1000).status_code == 200


def test_an_endless_body_is_cut_at_the_cap(call, serve, loopback):
    server = serve(lambda conn, _: chunked(conn, (b"x" * 65536 for _ in range(10_000))))
    with pytest.raises(EgressTooLarge):
        call("GET", url(server), max_bytes=200_000)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_capped_by_its_decoded_size(call, serve, loopback, layers):
    body = b"\0" * 30_000_000
    for _ in range(layers):
        body = gzip.compress(body)
    encoding = ", ".join(["gzip"] * layers)
    server = serve(answer(body, headers=f"content-encoding: {encoding}\r\n"))
    with pytest.raises(EgressTooLarge):
        call("GET", url(server), max_bytes=1_000_000)


def test_endless_empty_compressed_blocks_are_cut(call, serve, loopback):
    squeeze = zlib.compressobj(wbits=31)
    first = squeeze.compress(b"a") + squeeze.flush(zlib.Z_SYNC_FLUSH)
    empty = b"\x00\x00\x00\xff\xff" * 4000

    def handler(conn, head):
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + first)
        for _ in range(100):
            conn.sendall(empty)

    with pytest.raises(EgressTooLarge):
        call("GET", url(serve(handler)), max_bytes=10_000)


def test_a_compressed_answer_is_decoded(call, serve, loopback):
    server = serve(answer(gzip.compress(b'{"a": 1}'), headers="content-encoding: gzip\r\n"))
    found = call("GET", url(server))
    assert found.json() == {"a": 1}
    assert "content-encoding" not in found.headers


def test_broken_compression_is_named_so(call, serve, loopback):
    server = serve(answer(b"not gzip at all", headers="content-encoding: gzip\r\n"))
    with pytest.raises(EgressUnreachable) as failed:
        call("GET", url(server))
    assert failed.value.code == "protocol_error"


def test_a_server_that_never_answers_times_out(call, serve, loopback):
    server = serve(lambda conn, _: conn.recv(1))
    started = time.monotonic()
    with pytest.raises(EgressTimeout, match=r"within 0\.3 s") as late:
        call("GET", url(server), timeout=0.3)
    assert time.monotonic() - started < SOON
    assert (late.value.code, late.value.sent, late.value.retryable) == ("timeout", True, True)


def test_a_dripping_body_is_cut_at_the_total_time(call, serve, loopback):
    server = serve(lambda conn, _: chunked(conn, [b"x"] * 1000, pause=0.05))
    started = time.monotonic()
    with pytest.raises(EgressTimeout):
        call("GET", url(server), timeout=0.4)
    assert time.monotonic() - started < SOON


def test_a_dripping_head_is_cut_at_the_total_time(call, serve, loopback):
    def handler(conn, head):
        conn.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(1000):
            conn.sendall(b"x-%d: 1\r\n" % number)
            time.sleep(0.05)

    started = time.monotonic()
    with pytest.raises(EgressTimeout):
        call("GET", url(serve(handler)), timeout=0.4)
    assert time.monotonic() - started < SOON


def test_redirects_share_one_clock(call, serve, loopback):
    def handler(conn, head):
        time.sleep(0.15)
        conn.sendall(answer(b"", status="302 Found", headers="location: /on\r\n"))

    started = time.monotonic()
    with pytest.raises(EgressTimeout):
        call("GET", url(serve(handler)), timeout=0.4, follow_redirects=True)
    assert time.monotonic() - started < SOON


def test_a_name_that_resolves_slowly_times_out_unsent(call, monkeypatch):
    # The margin between the two limits is a fiftieth of the time, so it must not be too short.
    def slow(host, port):
        time.sleep(4)
        return ["1.1.1.1"]

    monkeypatch.setattr(resolution, "lookup", slow)
    with pytest.raises(EgressTimeout, match="not resolved in time") as late:
        call("GET", "http://slow.test/", timeout=2)
    assert late.value.sent is False


def test_a_client_for_an_sdk_streams_under_the_same_caps(serve, loopback):
    server = serve(lambda conn, _: chunked(conn, [b"data: x\n\n"] * 50, pause=0.02))

    async def stream():
        client = egress.async_client(timeout=0.4, max_bytes=10_000)
        seen = 0
        try:
            async with client.stream("POST", url(server), json={"stream": True}) as found:
                async for line in found.aiter_lines():
                    seen += bool(line)
        finally:
            await egress.aclose()
        return seen

    with pytest.raises(EgressTimeout):
        asyncio.run(stream())


def test_a_short_wait_asked_for_by_an_sdk_is_kept(serve, loopback):
    server = serve(lambda conn, _: conn.recv(1))

    async def ask():
        client = egress.async_client(timeout=30)
        try:
            await client.get(url(server), timeout=httpx2.Timeout(5, read=0.2))
        finally:
            await egress.aclose()

    started = time.monotonic()
    with pytest.raises(EgressTimeout):
        asyncio.run(ask())
    assert time.monotonic() - started < SOON


def test_calls_of_one_loop_share_connections(serve, loopback):
    server = serve(answer())

    async def many():
        for _ in range(5):
            await egress.request("GET", url(server))
            await egress.async_client().get(url(server))
        await egress.aclose()

    asyncio.run(many())
    assert (len(server.requests), server.connections) == (10, 1)


def test_calls_of_threads_share_connections(serve, loopback):
    server = serve(answer())
    for _ in range(5):
        egress.request_blocking("GET", url(server))
        egress.client().get(url(server))
    egress.close()
    assert (len(server.requests), server.connections) == (10, 1)


def test_a_refused_answer_closes_its_connection(serve, loopback):
    server = serve(answer(b"x" * 100_000))

    async def twice():
        for _ in range(2):
            with pytest.raises(EgressTooLarge):
                await egress.request("GET", url(server), max_bytes=10)
        await egress.aclose()

    asyncio.run(twice())
    assert server.connections == 2

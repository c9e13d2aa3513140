"""The sockets of the contract, against real processes."""

import contextlib
import json
import socket as sockets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.engine.house import call, graph
from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.contract

FLOOD = 6_000


@contextlib.contextmanager
def listening(
    stack: Stack, path: str, token: str | None, **options: Any
) -> Iterator[ClientConnection]:
    """An open socket that has said that it is ready."""
    protocols = ["bearer", token] if token else None
    # A queue without bound: else the client, full of unread messages, cannot close in order.
    options.setdefault("max_queue", None)
    with connect(f"{stack.ws_url}{path}", subprotocols=protocols, **options) as opened:
        yield opened


def ready(opened: ClientConnection) -> int:
    message = json.loads(opened.recv(5))
    assert message["type"] == "ready"
    return message["last_seq"]


def heard(opened: ClientConnection, count: int, seconds: float = 10) -> list[dict[str, Any]]:
    """So many events; pings are passed over."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + seconds
    while len(found) < count:
        message = json.loads(opened.recv(max(until - time.monotonic(), 0.01)))
        if message["type"] != "ping":
            found.append(message)
    return found


def closing_code(opened: ClientConnection, seconds: float = 10) -> int:
    """The code the server closes with."""
    until = time.monotonic() + seconds
    try:
        while True:
            opened.recv(max(until - time.monotonic(), 0.01))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def a_run(eva: Client, steps: int = 5, slug: str = "chain") -> str:
    eva.make_tool(f"{slug}-noop", "noop")
    nodes = {f"s{n}": call(f"{slug}-noop") for n in range(steps)}
    definition = graph(nodes, *[f"s{n}>s{n + 1}" for n in range(steps - 1)])
    return str(eva.start(eva.make_workflow(slug, definition))["id"])


def test_words_of_a_model_come_to_those_who_asked_and_take_no_seq(
    stack: Stack, eva: Client
) -> None:
    run = eva.wait(a_run(eva))
    path = f"/ws/runs/{run['id']}"
    words = {"type": "tokens", "run": run["id"], "step": run["id"], "data": {"text": "<b>Hi"}}
    layer = get_channel_layer()
    message = layer.serialize({"type": "whisper", "text": json.dumps(words)})
    with (
        listening(stack, f"{path}?tokens=1&after={run['last_seq'] - 1}", eva.access) as curious,
        listening(stack, f"{path}?after={run['last_seq'] - 1}", eva.access) as other,
    ):
        for opened in (curious, other):
            ready(opened)
            assert heard(opened, 1)[0]["seq"] == run["last_seq"]
        # Until the reader listens; what is said before that is lost, as it may be.
        while not stack.redis.publish(f"sparkops__group__subject.{run['id']}", message):
            time.sleep(0.02)
        assert heard(curious, 1) == [words]
        with pytest.raises(TimeoutError):
            other.recv(0.5)


def test_a_socket_tells_everything_after_a_seq_in_order_without_gap_or_repeat(
    stack: Stack, eva: Client
) -> None:
    run = eva.wait(a_run(eva))
    history = eva.get(f"/runs/{run['id']}/events").json()["results"]
    assert [e["seq"] for e in history] == list(range(1, run["last_seq"] + 1))
    for after in (0, 3, run["last_seq"] - 1):
        with listening(stack, f"/ws/runs/{run['id']}?after={after}", eva.access) as opened:
            assert ready(opened) == run["last_seq"]
            told = heard(opened, run["last_seq"] - after)
            assert opened.subprotocol == "bearer"
        shown = [{k: m[k] for k in ("seq", "at", "type", "step", "data")} for m in told]
        assert shown == history[after:]
        assert {m["run"] for m in told} == {run["id"]}


def test_without_after_only_what_is_new_is_told_and_the_socket_stays_open(
    stack: Stack, eva: Client
) -> None:
    run = eva.wait(a_run(eva))
    with listening(stack, f"/ws/runs/{run['id']}", eva.access) as opened:
        assert ready(opened) == run["last_seq"]
        with pytest.raises(TimeoutError):
            opened.recv(1)


@pytest.mark.parametrize("after", ["²", "-1", "1e3", "x", "9" * 40])
def test_an_after_that_is_no_seq_is_as_none(stack: Stack, eva: Client, after: str) -> None:
    run = eva.wait(a_run(eva, 1))
    with listening(stack, f"/ws/runs/{run['id']}?after={after}", eva.access) as opened:
        assert ready(opened) == run["last_seq"]


def test_clients_that_come_and_go_while_a_run_runs_miss_nothing(stack: Stack, eva: Client) -> None:
    eva.make_tool("nap", "sleep")
    nodes = {f"s{n}": call("nap", seconds=0.01) for n in range(40)}
    definition = graph(nodes, *[f"s{n}>s{n + 1}" for n in range(39)])
    run_id = eva.start(eva.make_workflow("naps", definition))["id"]
    told: dict[int, list[int]] = {}

    def follow(number: int) -> None:
        seqs = told[number] = [0]
        while True:
            path = f"/ws/runs/{run_id}?after={seqs[-1]}"
            with listening(stack, path, eva.access) as opened:
                ready(opened)
                for _ in range(7 + number):
                    message = json.loads(opened.recv(10))
                    seqs.append(message["seq"])
                    if message["type"].startswith("run.succeeded"):
                        return

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    run = eva.wait(run_id)
    assert all(seqs == list(range(run["last_seq"] + 1)) for seqs in told.values())


def test_activity_tells_of_runs_and_its_seq_grows(stack: Stack, eva: Client) -> None:
    with listening(stack, f"/ws/activity?project={eva.project}", eva.access) as opened:
        ready(opened)
        run = eva.wait(a_run(eva, 2))
        told = heard(opened, 3)
    assert [m["type"] for m in told] == ["run.queued", "run.started", "run.succeeded"]
    assert {m["run"] for m in told} == {run["id"]}
    seqs = [m["seq"] for m in told]
    assert seqs == sorted(set(seqs))
    path = f"/ws/activity?project={eva.project}&after={seqs[0]}"
    with listening(stack, path, eva.access) as opened:
        assert ready(opened) == seqs[-1]
        assert [m["seq"] for m in heard(opened, 2)] == seqs[1:]


def test_a_refusal_is_accepted_and_closed_with_its_code(stack: Stack, eva: Client) -> None:
    run_id = a_run(eva, 1)
    bo = stack.register("Bo")
    cases = [
        (f"/ws/runs/{run_id}", None, 4401),
        (f"/ws/runs/{run_id}", "wrong", 4401),
        (f"/ws/runs/{run_id}", bo.access, 4404),
        ("/ws/runs/00000000-0000-7000-8000-000000000000", eva.access, 4404),
        (f"/ws/activity?project={eva.project}", bo.access, 4404),
        ("/ws/activity", eva.access, 4404),
    ]
    for path, token, code in cases:
        with listening(stack, path, token) as opened:
            assert closing_code(opened) == code, path


def test_a_ticket_opens_one_socket(stack: Stack, eva: Client) -> None:
    run_id = a_run(eva, 1)
    ticket = eva.made("/auth/ws-ticket", {})["ticket"]
    with listening(stack, f"/ws/runs/{run_id}?ticket={ticket}", None) as opened:
        ready(opened)
    with listening(stack, f"/ws/runs/{run_id}?ticket={ticket}", None) as opened:
        assert closing_code(opened) == 4401


@pytest.mark.quiet
def test_a_revoked_membership_closes_the_socket_within_five_seconds(
    stack: Stack, eva: Client
) -> None:
    run_id = a_run(eva, 1)
    vic = stack.register("Vic")
    stack.sql(
        "INSERT INTO membership (id, project_id, user_id, role, created_at, updated_at)"
        " SELECT gen_random_uuid(), %s, %s, 'viewer', now(), now()",
        [eva.project, vic.user["id"]],
    )
    with (
        listening(stack, f"/ws/runs/{run_id}", vic.access) as one,
        listening(stack, f"/ws/activity?project={eva.project}", vic.access) as other,
        listening(stack, f"/ws/runs/{run_id}", eva.access) as hers,
    ):
        for opened in (one, other, hers):
            ready(opened)
        stack.sql(
            "DELETE FROM membership WHERE project_id = %s AND user_id = %s",
            [eva.project, vic.user["id"]],
        )
        began = time.monotonic()
        assert [closing_code(one), closing_code(other)] == [4403, 4403]
        assert time.monotonic() - began < 5
        with pytest.raises(TimeoutError):
            hers.recv(0.5)


def flood(stack: Stack, run_id: str, count: int, size: int) -> None:
    """Many events in one commit."""
    stack.sql(
        """WITH r AS (UPDATE run SET last_seq = last_seq + %(count)s WHERE id = %(run)s
             RETURNING last_seq - %(count)s AS base, project_id)
           INSERT INTO event (subject_id, seq, project_id, at, type, data)
           SELECT %(run)s, r.base + n, r.project_id, clock_timestamp(), 'log',
             jsonb_build_object('first', n, 'text', repeat('x', %(size)s))
           FROM r, generate_series(1, %(count)s) n""",
        {"run": run_id, "count": count, "size": size},
    )


def test_a_flood_reaches_every_reader_that_keeps_up(stack: Stack, eva: Client) -> None:
    run = eva.wait(a_run(eva, 1))
    path = f"/ws/runs/{run['id']}"
    told: dict[int, list[int]] = {}

    def follow(number: int) -> None:
        with listening(stack, path, eva.access) as opened:
            ready(opened)
            barrier.wait()
            told[number] = [m["seq"] for m in heard(opened, FLOOD, 25)]

    barrier = threading.Barrier(5)
    threads = [threading.Thread(target=follow, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait()
    flood(stack, run["id"], FLOOD, 200)
    for thread in threads:
        thread.join(40)
    expected = list(range(run["last_seq"] + 1, run["last_seq"] + FLOOD + 1))
    assert [told.get(number) == expected for number in range(4)] == [True] * 4


def test_a_reader_that_does_not_read_is_dropped_and_holds_up_nobody(
    stack: Stack, eva: Client
) -> None:
    run = eva.wait(a_run(eva, 1))
    path = f"/ws/runs/{run['id']}"
    small = sockets.socket()
    small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    small.connect(("127.0.0.1", stack.port))
    slow = connect(
        f"{stack.ws_url}{path}",
        subprotocols=["bearer", eva.access],
        sock=small,
        max_queue=1,
        ping_interval=None,
    )
    with slow, listening(stack, path, eva.access) as quick:
        ready(quick)
        count = 12_000
        flood(stack, run["id"], count, 1_500)
        began = time.monotonic()
        told = [m["seq"] for m in heard(quick, count, 40)]
        assert told == list(range(run["last_seq"] + 1, run["last_seq"] + count + 1))
        assert time.monotonic() - began < 30
        assert closing_code(slow, 30) == 4408

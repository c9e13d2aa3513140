"""Doorbells over a line that is never answered."""

import asyncio
import json

import pytest
from channels.layers import get_channel_layer

from controlplane.kit import events, queue
from controlplane.kit.doorbell import bell, connection
from tests.support import session

SECONDS = 20


@pytest.fixture(autouse=True)
def _redis():
    session.valkey()
    yield
    bell.hang_up()


def hears(ring):
    """Whether a subscriber of the group `subject.a` is told by what `ring` does."""

    async def listen():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("subject.a", channel)
        await asyncio.to_thread(ring)
        async with asyncio.timeout(SECONDS):
            message = await layer.receive(channel)
        await layer.group_discard("subject.a", channel)
        return message

    return asyncio.run(listen()) == {"type": "bell"}


@pytest.mark.parametrize("is_urgent", [True, False])
def test_an_announcement_reaches_the_subscribers_of_the_group(is_urgent):
    assert hears(lambda: events.announce(["subject.b", "subject.a"], is_urgent=is_urgent))


def test_a_line_the_server_has_closed_is_opened_anew():
    events.announce(["subject.b"])
    before = bell._line[1]
    connection().client_kill_filter(_type="normal", skipme=True)
    assert hears(lambda: events.announce(["subject.a"]))
    assert bell._line[1] is not before


def test_a_ring_is_one_message_for_each_time_and_the_list_is_bounded():
    connection().delete(queue.KEY + "here")
    queue.ring("wake", "here", times=3)
    queue.ring("wake", "here", "id", times=queue.LONGEST_LIST)
    asyncio.run(_until(lambda: connection().llen(queue.KEY + "here") == queue.LONGEST_LIST))
    newest = json.loads(connection().lindex(queue.KEY + "here", -1))
    assert (newest["actor_name"], newest["args"]) == ("wake", ["id"])


async def _until(holds):
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


def test_redis_away_costs_a_warning_and_nothing_else(monkeypatch, caplog):
    bell.hang_up()
    monkeypatch.setitem(connection().connection_pool.connection_kwargs, "path", "/nowhere/r.sock")
    events.announce(["subject.a"])
    queue.ring("wake", "here")
    assert "live doorbell not rung" in caplog.text
    assert "doorbell for here not rung" in caplog.text

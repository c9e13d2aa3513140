"""How `make up` ends, and what the next one finds."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.supervisor import folders
from tests.platform.instance import Instance, still_alive
from tests.support.client import Client
from tests.support.servers import crowding, wait_for

pytestmark = pytest.mark.platform
Make = Callable[..., Instance]


@pytest.fixture(scope="module")
def instance(new_instance: Make, prepared_data: Callable[[], Path]) -> Instance:
    """An instance these tests stop and start again, one after the other."""
    return new_instance(prepared_data(), SPARKOPS_DEMO="off").start()


def start_again(instance: Instance) -> None:
    if instance.process is None or instance.process.poll() is not None:
        instance.start()


@pytest.mark.parametrize(
    ("how", "group"),
    [
        (signal.SIGTERM, False),
        (signal.SIGINT, False),
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
    ],
)
def test_a_signal_ends_everything_within_15_seconds(
    instance: Instance, how: signal.Signals, group: bool
) -> None:
    start_again(instance)
    pids, sockets = instance.pids(), folders.socket_dir(instance.data_dir)
    assert instance.stop(how, group) < 15
    assert not still_alive(pids)
    assert not sockets.exists()
    assert not (instance.data_dir / "postgres" / "data" / "postmaster.pid").exists()


def test_a_second_start_is_ready_within_8_seconds_and_keeps_the_data(instance: Instance) -> None:
    start_again(instance)
    user = Client(instance.url).register("Ana")
    instance.stop()
    before = crowding()
    instance.start()
    assert instance.seconds_to_ready < 8 * max(before, crowding())
    Client(instance.url).login(user.email)


def test_a_killed_supervisor_takes_its_children_along(instance: Instance) -> None:
    start_again(instance)
    pids = instance.pids()
    instance.stop(signal.SIGKILL)
    wait_for(lambda: not still_alive(pids), 15, "end of the children")
    instance.start()
    assert instance.is_ready()


def test_a_postgres_left_over_is_gone_on_with(instance: Instance) -> None:
    start_again(instance)
    postgres = instance.pid("postgres")
    os.kill(postgres, signal.SIGSTOP)  # so that it cannot hear its parent's end
    os.kill(instance.pid("web"), 0)
    instance.stop(signal.SIGKILL)
    os.kill(postgres, signal.SIGCONT)
    instance.start()
    assert instance.is_ready()
    instance.stop()
    assert not still_alive([postgres])


def test_two_instances_run_side_by_side(instance: Instance, quick: Make) -> None:
    start_again(instance)
    other = quick().start()
    assert instance.is_ready()
    assert other.is_ready()
    assert other.stop() < 15
    assert instance.is_ready()

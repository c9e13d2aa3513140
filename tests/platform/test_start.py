"""What `make up` does on a machine with nothing but Python."""

import os
import re
import signal
import socket
import stat
from collections.abc import Callable

import httpx2
import pytest

from controlplane.supervisor import folders
from controlplane.supervisor.control import ask
from controlplane.supervisor.model import installed_file
from tests.platform.instance import Instance, still_alive
from tests.support import session
from tests.support.client import Client
from tests.support.servers import wait_for

pytestmark = pytest.mark.platform
Make = Callable[..., Instance]


def test_an_empty_folder_becomes_a_running_instance(running: Instance) -> None:
    assert running.is_ready()
    page = httpx2.get(f"{running.url}/accounts/login/", trust_env=False)
    assert page.status_code == 200
    assert 'type="password"' in page.text


def test_the_printed_demo_user_can_sign_in(running: Instance) -> None:
    match = re.search(r"Sign in as (\S+) with the password (\S+)", running.output())
    assert match
    Client(running.url).login(match[1], match[2])


def test_keys_are_readable_by_us_alone(running: Instance) -> None:
    mode = (running.data_dir / "secrets.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("name", ["web", "worker-1", "ticker", "demo", "valkey", "postgres"])
def test_a_killed_process_is_started_again(running: Instance, name: str) -> None:
    before = running.status()["processes"][name]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(lambda: running.pid(name) not in {0, before["pid"]}, 15, f"restart of {name}")
    wait_for(running.is_ready, 20, "ready again")
    assert running.status()["processes"][name]["restarts"] == before["restarts"] + 1


def test_the_template_can_die_without_harm(running: Instance) -> None:
    before, web = running.pid("template"), running.pid("web")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: running.pid("template") not in {0, before}, 10, "the next template")
    os.kill(running.pid("worker-1"), signal.SIGKILL)
    wait_for(lambda: running.pid("worker-1") != 0, 15, "a worker from the next template")
    assert running.pid("web") == web


def test_a_second_supervisor_on_the_folder_is_refused(
    running: Instance, new_instance: Make
) -> None:
    said = new_instance(running.data_dir.parent / "data").refused()
    assert "already running on the data folder" in said
    assert "Traceback" not in said
    assert running.is_ready()


def test_a_taken_port_is_named(new_instance: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = new_instance(port=port).refused()
    assert f"Port {port} on 127.0.0.1 is taken by another program" in said


def test_a_database_that_cannot_be_reached_is_one_sentence(new_instance: Make) -> None:
    said = new_instance(DATABASE_URL="postgresql://nobody:hush@127.0.0.1:1/none").refused()
    assert "check DATABASE_URL" in said
    assert "Traceback" not in said
    assert "hush" not in said


def test_a_redis_that_cannot_be_reached_is_one_sentence(new_instance: Make) -> None:
    said = new_instance(REDIS_URL="redis://127.0.0.1:1/0").refused()
    assert "check REDIS_URL" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("SPARKOPS_WORKERS", "-1")]
)
def test_a_senseless_number_is_named(new_instance: Make, name: str, value: str) -> None:
    instance = new_instance()
    instance.environment[name] = value
    assert f"{name} must be a number" in instance.refused()


def test_servers_of_ones_own_are_used(new_instance: Make) -> None:
    database = session.postgres().create_database("own_server")
    redis = session.valkey().server.url
    instance = new_instance(SPARKOPS_DEMO="off", DATABASE_URL=database, REDIS_URL=redis).start()
    assert not (instance.data_dir / "postgres").exists()
    assert Client(instance.url).register("Ana").project
    assert instance.stop() < 15


@pytest.mark.skipif(installed_file() is None, reason="the embedded model is not installed here")
def test_the_model_starts_at_the_first_request(quick: Make) -> None:
    instance = quick(SPARKOPS_DEMO_MODEL="on").start()
    assert instance.status()["processes"]["model"]["pid"] is None
    control = folders.socket_dir(instance.data_dir) / "control.sock"
    answer = ask(control, "start model", seconds=60)
    assert answer.startswith("ready http://127.0.0.1:")
    models = httpx2.get(f"{answer.split()[1]}/models", trust_env=False).json()
    assert models["data"][0]["id"] == "smollm2-135m"
    pids = instance.pids()
    instance.stop()
    assert not still_alive(pids)

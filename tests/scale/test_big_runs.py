"""Runs larger than anybody should make: all end, the worker's memory stays bounded, and the page
of the run can still be looked at. `make scale`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.bench.world import chain
from tests.support.client import Client
from tests.support.servers import wait_for
from tests.support.stack import Stack

pytestmark = pytest.mark.scale
MIB = 1024 * 1024
PAGE_BYTES, PAGE_SECONDS = 3 * MIB, 10
RUN_SECONDS = 600


@pytest.fixture(scope="module")
def big(make_stack: Callable[..., Stack]) -> Stack:
    """A stack of one worker whose tools are those of the engine's tests."""
    return make_stack(settings={"SPARKOPS_FUNCTIONS": "tests.engine.functions"})


@pytest.fixture(scope="module")
def eva(big: Stack) -> Client:
    client = big.register("Eva")
    for name in ("noop", "echo", "chatty"):
        client.make_tool(name, name)
    return client


def say(line: str) -> None:
    """What was measured, for whoever runs this."""
    sys.stdout.write(f"\n{line}")


def peak_mib(stack: Stack) -> float:
    """The most memory the worker has had."""
    status = Path(f"/proc/{stack.pids['worker-1']}/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def ended(stack: Stack, eva: Client, definition: dict[str, Any], slug: str, given: Any) -> Any:
    """The run when it has ended, after saying what it took."""
    workflow, before = eva.make_workflow(slug, definition), peak_mib(stack)
    began = time.monotonic()
    run = eva.wait(eva.start(workflow, given)["id"], seconds=RUN_SECONDS)
    took, more = time.monotonic() - began, peak_mib(stack) - before
    say(f"{slug}: {took:.1f} s, worker +{more:.0f} MiB (peak {peak_mib(stack):.0f})")
    return run, more


def look(stack: Stack, eva: Client, run_id: str) -> None:
    """The page and each of its tabs answer, small enough for a browser."""
    with httpx2.Client(base_url=stack.url, timeout=60) as browser:
        page = browser.get("/accounts/login/")
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        form = {"login": eva.email, "password": eva.password, "csrfmiddlewaretoken": token}
        browser.post("/accounts/login/", data=form, headers={"Referer": stack.url})
        for tab in ("timeline", "logs", "events", "io"):
            began = time.monotonic()
            answer = browser.get(f"/runs/{run_id}/?tab={tab}")
            took = time.monotonic() - began
            say(f"  {tab}: {len(answer.content) / 1024:.0f} KiB in {took * 1000:.0f} ms")
            assert answer.status_code == 200
            assert len(answer.content) < PAGE_BYTES
            assert took < PAGE_SECONDS


def test_a_map_of_ten_thousand_items(big: Stack, eva: Client) -> None:
    body = {
        "nodes": [{"id": "e", "kind": "tool", "tool": "echo", "arguments": {"n": "${item}"}}],
        "edges": [],
        "output": "${steps.e.output.n}",
    }
    node = {"id": "m", "kind": "map", "over": "${input.all}", "body": body, "max_concurrency": 50}
    definition = {"nodes": [node], "edges": [], "output": "${steps.m.output}"}
    run, more = ended(big, eva, definition, "map", {"all": list(range(10_000))})
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == list(range(10_000))
    assert more < 200
    look(big, eva, run["id"])


def test_a_graph_of_two_thousand_steps(big: Stack, eva: Client) -> None:
    run, more = ended(big, eva, chain("noop", 2_000), "chain", {})
    assert run["status"] == "succeeded", run["error"]
    assert more < 200
    look(big, eva, run["id"])


def test_a_step_of_a_million_lines(big: Stack, eva: Client) -> None:
    node = {"id": "f", "kind": "tool", "tool": "chatty", "arguments": {"lines": 1_000_000}}
    run, more = ended(big, eva, {"nodes": [node], "edges": []}, "flood", {})
    assert run["status"] == "succeeded", run["error"]

    def written() -> int:
        asked = "SELECT count(*) AS n FROM log_line WHERE run_id = %s"
        return int(big.sql(asked, [run["id"]])[0]["n"])

    # The last lines are written while the run has ended already.
    wait_for(lambda: written() == 1_000_000, 60, "the last lines")
    assert more < 200
    look(big, eva, run["id"])


def test_an_input_of_a_megabyte(big: Stack, eva: Client) -> None:
    node = {"id": "e", "kind": "tool", "tool": "echo", "arguments": {"all": "${input.text}"}}
    definition = {"nodes": [node], "edges": [], "output": {"n": "${steps.e.output.all.size()}"}}
    run, more = ended(big, eva, definition, "input", {"text": "x" * (MIB - 20)})
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == {"n": MIB - 20}
    assert more < 200
    look(big, eva, run["id"])

"""W6: the first page of runs with a million of them stored, as a program and as a person ask."""

import asyncio
import re
import statistics
import subprocess
import sys
import time

import httpx2

from controlplane.supervisor.config import ROOT
from tests.bench.wire import Wire
from tests.bench.world import HOST, World

RUNS = 1_000_000
ROUNDS = 15
# Filters as people use them; the figure is over all of them.
FILTERS = (
    "status=failed",
    "status=failed&status=timed_out&period=7d",
    "workflow={workflow}",
    "environment=prod&status=succeeded",
    "period=24h&ordering=created_at",
    "tag=finance",
)


def seed(world: World, runs: int = RUNS) -> float:
    """Fill the project of the benchmark by `make seed`; the seconds it took."""
    slug = world.client.get(f"/projects/{world.client.project}").json()["slug"]
    command = [sys.executable, "-m", "controlplane.supervisor.command", "seed"]
    began = time.monotonic()
    subprocess.run(
        [*command, "--runs", str(runs), "--project", slug],
        cwd=ROOT, env=world.instance.environment, check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - began


def session(world: World) -> str:
    """The cookie of a person who signed in by the form."""
    with httpx2.Client(base_url=world.instance.url, trust_env=False) as browser:
        form = browser.get("/accounts/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert found
        answer = browser.post(
            "/accounts/login/",
            data={
                "login": world.client.email,
                "password": world.client.password,
                "csrfmiddlewaretoken": found[1],
            },
            headers={"Referer": world.instance.url},
        )
        assert answer.status_code == 302, answer.status_code
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


async def rounds(wire: Wire, path: str, workflow: str) -> list[float]:
    """Milliseconds of each request, all filters in turn; the first round warms up."""
    took = []
    for number in range(ROUNDS + 1):
        for query in FILTERS:
            began = time.monotonic_ns()
            await wire.fetch("GET", f"{path}?{query.format(workflow=workflow)}")
            if number:
                took.append((time.monotonic_ns() - began) / 1_000_000)
    return took


async def w6(world: World) -> dict[str, float]:
    """The first page, filtered in several ways, by the API and as HTML."""
    seconds = await asyncio.to_thread(seed, world)  # the socket's pings are answered meanwhile
    program = await Wire(HOST, world.instance.port, world.client.access).open()
    found = await program.ask("GET", "/workflows?search=order-intake")
    workflow = found["results"][0]["id"]
    page = await Wire(HOST, world.instance.port, cookie=session(world)).open()
    api = await rounds(program, "/api/v1/runs", workflow)
    html = await rounds(page, "/runs/", workflow)
    program.close()
    page.close()
    return {
        "api_p50_ms": statistics.median(api),
        "api_p95_ms": statistics.quantiles(api, n=20, method="inclusive")[18],
        "html_p50_ms": statistics.median(html),
        "html_p95_ms": statistics.quantiles(html, n=20, method="inclusive")[18],
        "seed_s": seconds,
    }

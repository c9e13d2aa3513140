"""The API against its own OpenAPI document, by schemathesis and real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.stack import Stack

HERE = Path(__file__).parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)
MODEL = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "small"}


@pytest.fixture(scope="module")
def settled(stack: Stack) -> tuple[Client, dict[str, str]]:
    """(an owner, the ids of a row of each kind in her project)."""
    ana = stack.register("Ana")
    project = {"project": ana.project}
    tool = ana.make_tool("noop", "noop")
    agent = ana.made(
        "/agents", {**project, "slug": "a", "name": "A", "kind": "model", "config": MODEL}
    )
    definition = {"nodes": [{"id": "a", "kind": "tool", "tool": "noop"}], "edges": []}
    workflow = ana.make_workflow("w", definition)
    run = ana.start(workflow)
    ana.wait(run["id"])
    secret = ana.made(
        "/secrets", {**project, "name": "s", "value": "vvvv", "allowed_hosts": ["a.example.com"]}
    )
    url = "http://127.0.0.1:9/mcp"
    server = ana.made("/tool-servers", {**project, "name": "s", "url": url})
    key = ana.made("/api-keys", {**project, "name": "k"})
    environments = ana.get(f"/projects/{ana.project}/environments").json()["results"]
    return ana, {
        "projects": ana.project,
        "tools": tool["id"],
        "tool-servers": server["id"],
        "agents": agent["id"],
        "workflows": workflow["id"],
        "runs": run["id"],
        "secrets": secret["id"],
        "api-keys": key["id"],
        "environments": environments[0]["id"],
        "members": ana.get(f"/projects/{ana.project}/members").json()["results"][0]["id"],
        "audit": ana.get("/audit").json()["results"][0]["id"],
        "instances": ana.get("/instances").json()["results"][0]["id"],
        "versions": "1",
        "steps": ana.steps(run["id"])[0]["id"],
    }


@pytest.mark.contract
@pytest.mark.timeout(600)
def test_the_api_keeps_to_its_document(
    stack: Stack, settled: tuple[Client, dict[str, str]], tmp_path: Path
) -> None:
    walk(stack, settled, tmp_path, "fuzzing")


@pytest.mark.scale
@pytest.mark.timeout(1_800)
def test_the_api_keeps_to_its_document_in_every_corner(
    stack: Stack, settled: tuple[Client, dict[str, str]], tmp_path: Path
) -> None:
    walk(stack, settled, tmp_path, "examples,coverage,fuzzing")


def walk(stack: Stack, settled: tuple[Client, dict[str, str]], tmp_path: Path, phases: str) -> None:
    """Every operation of the document, in so many ways; no answer may break it."""
    ana, known = settled
    found = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run",
            f"{stack.url}/api/v1/schema?format=json",
            "--header", f"Authorization: Bearer {ana.access}",
            "--checks", ",".join(CHECKS),
            "--phases", phases,
            "--max-examples", "4",
            "--workers", "1",  # two threads at once trip over CPython 3.11 (gh-106905)
            "--seed", "1", "--generation-deterministic",
            "--exclude-path-regex", "/auth/(logout|password)",
            "--request-timeout", "20", "--no-shrink", "--no-color", "--continue-on-failure",
            "--warnings", "off", "--suppress-health-check", "all",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "SPARKOPS_KNOWN_IDS": json.dumps(known),
            "SCHEMATHESIS_HOOKS": "known_ids",
            "PYTHONPATH": str(HERE),
        },
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]

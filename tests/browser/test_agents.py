"""An agent in a real browser: deployed, scaled, killed and replaced, on one open page."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.client import Client

pytestmark = pytest.mark.browser
# Nothing listens there: these tests are about processes, not about answers.
CONFIG = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "small"}


@pytest.fixture
def someone(page: Page, sign_in: Callable[..., Client]) -> Client:
    return sign_in(page)


@pytest.fixture
def agent(someone: Client) -> dict[str, Any]:
    body = {"project": someone.project, "slug": "packer", "name": "Packer", "kind": "model"}
    return someone.made("/agents", {**body, "config": CONFIG})


def submit(page: Page, label: str) -> None:
    page.locator("#dialog .dialog-foot button.primary", has_text=label).click()
    expect(page.locator("#dialog")).not_to_be_visible()


def test_deploy_scale_kill_and_replacement_are_seen_on_an_open_page(
    page: Page, someone: Client, agent: dict[str, Any], axe: Callable[[Page], list[str]]
) -> None:
    page.goto(f"/agents/{agent['id']}/?tab=deployments")
    page.evaluate("window.stayed = true")
    expect(page.get_by_text("Not deployed anywhere")).to_be_visible()
    page.locator(".page-head .button", has_text="Deploy").click()
    page.locator("#dialog select[name=environment]").select_option("dev")
    submit(page, "Deploy")
    panel = page.locator("section", has=page.get_by_role("heading", name="dev", exact=True))
    expect(panel.locator(".pill")).to_have_text("Available", timeout=30_000)

    panel.locator(".button", has_text="Scale").click()
    page.locator("#dialog input[name=replicas]").fill("2")
    submit(page, "Scale")
    expect(page.locator("#agent-facts")).to_contain_text("2 of 2", timeout=30_000)
    assert axe(page) == []

    page.locator(".tabs a", has_text="Instances").click()
    rows = page.locator("#agent-instances tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.locator(".pill", has_text="Ready")).to_have_count(2)
    process = rows.first.locator("code").inner_text()
    os.kill(int(process.rpartition(":")[2]), signal.SIGKILL)
    expect(rows.locator(".pill", has_text="Dead")).to_have_count(1, timeout=20_000)
    expect(rows.locator(".pill", has_text=re.compile("Ready|Busy"))).to_have_count(
        2, timeout=20_000
    )
    page.locator(".tabs a", has_text="Deployments").click()
    history = page.locator("#agent-deployments table")
    expect(history).to_contain_text("Instance lost")
    expect(history).to_contain_text("replaced at once")
    rows = page.locator("#agent-deployments table tbody tr")
    expect(rows.filter(has_text=re.compile("Phase.*degraded"))).not_to_have_count(0)
    assert page.evaluate("window.stayed")
    someone.made(f"/agents/{agent['id']}/retire", {"environment": "dev"})


def test_charts_are_drawn_from_the_api_and_have_their_table(
    page: Page, someone: Client, agent: dict[str, Any], axe: Callable[[Page], list[str]]
) -> None:
    work = {"nodes": [{"id": "ask", "kind": "agent", "agent": "packer", "prompt": "Go"}]}
    workflow = someone.make_workflow("asks", {**work, "edges": []})
    someone.wait(someone.start(workflow)["id"])
    page.goto(f"/agents/{agent['id']}/?tab=metrics")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator("figure[data-chart]").first).to_have_attribute("role", "img")
    expect(page.locator("#agent-metrics table:has(caption) tbody tr")).to_have_count(1)
    page.locator(".ranges a", has_text="30 days").click()
    expect(page).to_have_url(re.compile("range=30d"))
    expect(page.locator(".chart canvas").first).to_be_visible()
    assert axe(page) == []
    page.locator(".tabs a", has_text="Runs").click()
    expect(page.locator("#list tbody tr")).to_have_count(1)

"""The queue of approvals in a real browser: by keyboard, and following by itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.browser

ASK = """
import json
from controlplane.kit.ids import uuid7
from governance import approvals
for title in json.loads({titles!r}):
    approvals.request(
        project_id={project!r}, run_id=None, step_id=None, subject="step", title=title,
        packet={{"show": "As agreed."}}, arguments={{"to": "ops"}}, due_seconds=3600,
    )
"""


@pytest.fixture
def ask(stack: Stack) -> Callable[..., None]:
    """`ask(client, "A?", "B?")`: questions in the client's project."""

    def asked(client: Client, *titles: str) -> None:
        code = ASK.format(titles=json.dumps(titles), project=client.project)
        stack.manage("shell", "--no-imports", "-c", code)

    return asked


def statuses(client: Client) -> dict[str, str]:
    rows = client.get("/approvals").json()["results"]
    return {row["title"]: row["status"] for row in rows}


def test_the_queue_is_worked_through_by_keyboard(
    page: Page, sign_in: Callable[..., Client], ask: Callable[..., None], axe: Callable[..., Any]
) -> None:
    client = sign_in(page)
    ask(client, "One?", "Two?", "Three?")
    page.goto("/approvals/")
    cards = page.locator("[data-approval]")
    page.keyboard.press("a")  # Marks the first card and decides nothing.
    expect(cards.nth(0)).to_be_focused()
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("j")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator("dialog[open]")).to_contain_text("Two?")
    assert axe(page) == []
    page.keyboard.type("Fine: j, k, a and r are only letters here.")
    page.keyboard.press("Enter")
    expect(cards).to_have_count(2)
    expect(cards.nth(1)).to_be_focused()
    expect(cards.nth(1)).to_contain_text("Three?")
    page.keyboard.press("k")
    page.keyboard.press("r")
    page.locator("dialog[open] textarea").fill("Too early.")
    page.locator("dialog[open] button[type=submit]").click()
    expect(cards).to_have_count(1)
    assert statuses(client) == {"One?": "rejected", "Two?": "approved", "Three?": "pending"}
    expect(page.locator("#approvals-badge")).to_contain_text("1")
    assert axe(page) == []


def test_the_page_follows_what_is_asked_and_decided_elsewhere(
    page: Page, sign_in: Callable[..., Client], ask: Callable[..., None]
) -> None:
    client = sign_in(page)
    page.goto("/approvals/")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    ask(client, "One?")
    expect(page.locator("[data-approval]")).to_have_count(1)
    ask(client, "Two?")
    expect(page.locator(".new-rows")).to_have_text("1 new approval")
    page.locator(".new-rows").click()
    expect(page.locator("[data-approval]")).to_have_count(2)
    expect(page.locator("#approvals-badge")).to_contain_text("2")
    first = client.get("/approvals", ordering="due_at").json()["results"][0]
    client.post(f"/approvals/{first['id']}/approve")
    expect(page.locator("[data-approval]")).to_have_count(1)
    expect(page.locator("#approvals-badge")).to_contain_text("1")


def test_an_edit_is_what_gets_approved(
    page: Page, sign_in: Callable[..., Client], ask: Callable[..., None]
) -> None:
    client = sign_in(page)
    ask(client, "One?")
    page.goto("/approvals/")
    page.locator("[data-verb=edit]").click()
    expect(page.locator("dialog[open] .cm-content")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.type(', "cc": 1')
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("[data-approval]")).to_have_count(0)
    row = client.get("/approvals").json()["results"][0]
    assert (row["arguments"], row["requested_arguments"]) == ({"to": "ops", "cc": 1}, {"to": "ops"})

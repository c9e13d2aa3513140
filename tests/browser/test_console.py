"""The console in a real browser: frame, dialogs, filters, and a run followed live."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.browser

SLOW = {
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    "nodes": [
        {"id": "look", "kind": "tool", "name": "Look it up", "tool": "echo",
         "arguments": {"city": "${input.city}"}},
        {"id": "wait", "kind": "tool", "name": "Take a while", "tool": "sleep",
         "arguments": {"seconds": "${input.seconds}"}},
        {"id": "tell", "kind": "transform", "name": "Tell", "set": {"answer": "done"}},
    ],
    "edges": [{"from": "look", "to": "wait"}, {"from": "wait", "to": "tell"}],
    "output": {"answer": "${steps.tell.output.answer}"},
}  # fmt: skip


@pytest.fixture
def someone(page: Page, sign_in: Callable[..., Client]) -> Client:
    """A person signed in on the page, with the tools that the workflow calls."""
    client = sign_in(page)
    client.make_tool("echo", "echo")
    client.make_tool("sleep", "sleep")
    return client


@pytest.fixture
def workflow(someone: Client) -> str:
    """The id of a released workflow that takes about two seconds."""
    body = {"project": someone.project, "slug": "slow", "name": "Slow road", "definition": SLOW}
    made = someone.made("/workflows", body)
    someone.made(f"/workflows/{made['id']}/publish", {})
    return str(made["id"])


def start(client: Client, workflow: str, seconds: float = 2) -> str:
    given = {"city": "Oslo", "seconds": seconds}
    body = {"workflow": workflow, "environment": "dev", "input": given}
    return str(client.made("/runs", body)["id"])


def test_a_run_is_followed_to_its_end_without_reload(
    page: Page, someone: Client, workflow: str
) -> None:
    run = start(someone, workflow)
    page.goto(f"/runs/{run}/")
    page.evaluate("window.stayed = true")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    step = page.locator(".timeline-row", has_text="Take a while")
    expect(step).to_contain_text("Running")
    expect(page.locator("#run-head .pill")).to_have_text("Succeeded", timeout=15_000)
    expect(step).to_contain_text("Succeeded")
    expect(page.locator("#tab-count-events")).not_to_have_text("0")
    assert page.evaluate("window.stayed")


def test_a_step_opens_beside_the_timeline_and_is_in_the_address(
    page: Page, someone: Client, workflow: str
) -> None:
    run = start(someone, workflow)
    page.goto(f"/runs/{run}/")
    page.locator(".timeline-row", has_text="Look it up").click()
    drawer = page.locator("#step-drawer")
    expect(drawer.locator("h2")).to_have_text("Look it up")
    expect(drawer).to_contain_text('"city": "Oslo"')
    assert "step=" in page.url
    page.reload()
    expect(page.locator("#step-drawer h2")).to_have_text("Look it up")
    page.locator("#tab-events").click()
    expect(page.locator("#run-events")).to_contain_text("run.queued")
    page.go_back()
    expect(page.locator("#step-drawer h2")).to_have_text("Look it up")


def test_the_page_catches_up_after_the_line_was_cut(
    page: Page, someone: Client, workflow: str
) -> None:
    run = start(someone, workflow)
    page.goto(f"/runs/{run}/")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    page.context.set_offline(True)
    page.wait_for_timeout(3_000)
    page.context.set_offline(False)
    expect(page.locator("#run-head .pill")).to_have_text("Succeeded", timeout=40_000)


def test_a_run_is_started_from_the_dialog_with_the_editor(
    page: Page, someone: Client, workflow: str
) -> None:
    page.goto("/runs/")
    page.get_by_role("link", name="Start a run").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_be_visible()
    dialog.locator("textarea[name=input]").focus()
    editor = dialog.locator(".cm-content")
    expect(editor).to_contain_text("city")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"city": ')
    page.keyboard.press("Delete")
    dialog.get_by_role("button", name="Start", exact=True).click()
    expect(dialog.locator(".error")).to_be_visible()
    expect(dialog).to_be_visible()
    dialog.locator("textarea[name=input]").evaluate("area => area.focus()")
    expect(dialog.locator(".cm-content")).to_be_visible()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text('{"city": "Bergen", "seconds": 0.1}')
    dialog.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}/$"))
    expect(page.locator(".toast")).to_contain_text("started")


def test_a_run_is_cancelled_with_a_reason(page: Page, someone: Client, workflow: str) -> None:
    run = start(someone, workflow, seconds=60)
    page.goto(f"/runs/{run}/")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_label("Reason").fill("Not wanted any more")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#run-head .pill")).to_have_text("Cancelled", timeout=15_000)
    expect(page.locator("#run-head")).to_contain_text("Not wanted any more")


def test_new_runs_wait_behind_a_counter_and_rows_follow(
    page: Page, someone: Client, workflow: str
) -> None:
    start(someone, workflow)
    page.goto("/runs/")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    page.mouse.move(5, 5)
    start(someone, workflow)
    expect(page.locator(".new-rows")).to_have_text("1 new run")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody .pill")).to_have_text("Succeeded", timeout=15_000)
    page.locator(".new-rows").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_tool_is_made_changed_and_deleted_in_dialogs(page: Page, someone: Client) -> None:
    page.goto("/tools/")
    opener = page.get_by_role("link", name="New tool")
    opener.click()
    expect(page.locator("#dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    page.get_by_label("Kind").select_option("Python")
    expect(page.get_by_label("Function")).to_be_visible()
    page.get_by_label("Name").fill("Sleeper")
    page.get_by_label("Slug").fill("sleep")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#dialog")).to_contain_text("This project has a tool of that slug.")
    page.get_by_label("Slug").fill("sleeper")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/tools/[0-9a-f-]{36}/$"))
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Late sleeper")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast").last).to_contain_text("saved")
    page.goto("/tools/?search=late")
    page.get_by_role("button", name="Actions of Late sleeper").click()
    page.locator(".menu-item", has_text="Delete").click()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/tools/")
    expect(page.locator(".toast")).to_contain_text("is in the trash")
    expect(page.locator("tbody")).not_to_contain_text("Late sleeper")


def test_filters_change_the_table_and_the_address_only(page: Page, someone: Client) -> None:
    page.goto("/tools/")
    page.evaluate("window.stayed = true")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("searchbox").fill("echo")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("/tools/?search=echo")
    page.locator("#chip-status").click()
    page.get_by_label("Inactive").check()
    expect(page.locator("#list")).to_contain_text("Nothing matches")
    expect(page.locator("#chip-status-words")).to_contain_text("Inactive")
    assert page.evaluate("window.stayed")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Clear Status").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("#list")).to_contain_text("Nothing matches")


def test_a_failed_request_says_so_and_can_be_tried_again(page: Page, someone: Client) -> None:
    page.goto("/tools/")
    page.route("**/tools/new/", lambda route: route.abort())
    page.get_by_role("link", name="New tool").click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("The server did not answer")
    page.unroute("**/tools/new/")
    toast.get_by_role("button", name="Try again").click()
    expect(page.locator("#dialog")).to_be_visible()


def test_the_theme_is_remembered(page: Page, someone: Client) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/runs/")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"


def test_the_rail_is_a_drawer_on_a_narrow_screen(page: Page, someone: Client) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/runs/")
    expect(page.get_by_role("link", name="Tools")).to_be_hidden()
    page.get_by_role("link", name="Open menu").click()
    page.get_by_role("link", name="Tools").click()
    page.wait_for_url("**/tools/")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0


def test_everything_works_without_javascript(
    browser: Browser, page: Page, someone: Client, workflow: str, stack: Stack
) -> None:
    run = start(someone, workflow)
    context = browser.new_context(
        base_url=stack.url, java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto(f"/runs/{run}/?tab=io")
    assert '"Oslo"' in plain.inner_text("main")
    plain.goto("/tools/?search=echo")
    assert plain.locator("tbody tr").count() == 1
    plain.get_by_role("link", name="New tool").click()
    plain.get_by_label("Name").fill("Plain")
    plain.get_by_label("Slug").fill("plain")
    plain.get_by_role("textbox", name="URL", exact=True).fill("https://example.com/")
    plain.get_by_role("button", name="Save").click()
    assert "Tool Plain created." in plain.inner_text("body")
    plain.get_by_role("button", name="account menu").click()
    plain.get_by_role("button", name="Sign out").click()
    assert "/accounts/login/" in plain.url
    context.close()

"""Lists in a real browser: every list page walked, verbs in bulk, saved views, the trash, two
people at one thing, a flood of events."""

import re
from collections.abc import Callable

import pytest
from django.urls import get_resolver, reverse
from playwright.sync_api import ConsoleMessage, Page, expect

from controlplane.kit.views import ListView
from controlplane.trash import KINDS
from tests.support.client import Client

pytestmark = pytest.mark.browser

NOOP = {"nodes": [{"id": "work", "kind": "transform", "set": {"answer": 42}}], "edges": []}
LONG = {"nodes": [{"id": "rest", "kind": "wait", "seconds": 3600}], "edges": []}
MODEL = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "tools": []}


def list_pages() -> list[str]:
    """The address of every list there is."""
    names = []

    def walk(patterns: list, space: str) -> None:
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
                walk(pattern.url_patterns, inner)
            elif not pattern.pattern.converters and issubclass(
                getattr(pattern.callback, "view_class", object), ListView
            ):
                names.append(reverse(f"{space}{pattern.name}"))

    walk(get_resolver().url_patterns, "")
    return [*names, *(reverse("trash:list", args=[kind]) for kind in KINDS)]


@pytest.fixture
def someone(page: Page, sign_in: Callable[..., Client]) -> Client:
    """A person signed in on the page, with something in most lists."""
    client = sign_in(page)
    client.make_tool("noop", "noop", tags=["eu"])
    for slug in ("packer", "scout"):
        body = {"project": client.project, "slug": slug, "name": slug.title(), "kind": "model"}
        client.made("/agents", {**body, "config": MODEL, "tags": ["eu"]})
    return client


@pytest.fixture
def errors(page: Page) -> list[str]:
    """What the browser's console complains of."""
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(f"{page.url}: {message.text}")

    page.on("console", hear)
    return heard


def start(client: Client, workflow: dict, count: int) -> None:
    body = {"workflow": workflow["id"], "environment": "dev", "input": {}}
    assert client.post("/runs/batch", {"runs": [body] * count}).status_code == 201


def walk_sorting(page: Page) -> None:
    heads = page.locator("thead th a")
    if heads.count() == 0:
        return
    name = (heads.first.get_attribute("id") or "").removeprefix("sort-")
    heads.first.click()
    page.wait_for_url(re.compile(rf"ordering=-?{name}"))
    expect(page.locator(f"th:has(#sort-{name})")).to_have_attribute("aria-sort", re.compile("."))


def walk_filters(page: Page) -> None:
    page.locator("#chip-period").click()
    page.locator("#filter-period").get_by_label("Last 7 days").check()
    expect(page.locator("#chip-period-words")).to_contain_text("Last 7 days")
    assert "period=7d" in page.url
    page.keyboard.press("Escape")
    page.locator("#filter-search").fill("nothing is called that")
    expect(page.locator("#list")).to_contain_text("Nothing matches")
    page.locator("#filters-clear a").click()
    page.wait_for_url(lambda url: "period" not in url)
    expect(page.locator("#filters-clear a")).to_have_count(0)
    expect(page.locator("#chip-period .chosen")).to_have_count(0)


def walk_choosing(page: Page) -> None:
    if page.locator("[data-select]").count() == 0:
        return
    bar = page.locator("#bulk-form")
    expect(bar).to_be_hidden()
    page.locator("[data-select]").first.check()
    expect(bar).to_be_visible()
    expect(bar.locator("[data-bulk-count]")).to_have_text(re.compile(r"^1 \w+ chosen$"))
    bar.locator("[data-bulk-clear]").click()
    expect(bar).to_be_hidden()


def test_every_list_sorts_filters_clears_and_chooses(
    page: Page, someone: Client, errors: list[str]
) -> None:
    start(someone, someone.make_workflow("short", NOOP), 27)
    paths = list_pages()
    assert {"/runs/", "/agents/", "/tools/", "/workflows/", "/audit/"} <= set(paths)
    for path in paths:
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#list")).to_be_visible()
        if page.locator("#list tbody tr").count() == 0:
            expect(page.locator("#list .empty h2")).to_be_visible()
        walk_sorting(page)
        if page.locator("#filters").count():
            walk_filters(page)
        walk_choosing(page)
    page.goto("/runs/")
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert errors == []


def test_runs_are_cancelled_in_bulk_after_a_preview_and_a_report(
    page: Page, someone: Client, axe: Callable[[Page], list[str]]
) -> None:
    long, short = someone.make_workflow("long", LONG), someone.make_workflow("short", NOOP)
    start(someone, long, 3)
    done = someone.start(short)
    someone.wait(done["id"])
    page.goto("/runs/")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    page.locator("[data-select-page]").check()
    bar = page.locator("#bulk-form")
    expect(bar).to_contain_text("4 runs chosen")
    assert axe(page) == []
    bar.get_by_role("button", name="Cancel").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.locator(".bulk-figures")).to_have_text(
        re.compile(r"Will be cancelled3.*refused1")
    )
    expect(dialog).to_contain_text("It has ended already.")
    assert axe(page) == []
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_contain_text("The run has succeeded already.")
    expect(dialog.locator(".bulk-figures")).to_contain_text("Cancelled3")
    dialog.get_by_role("button", name="Close").last.click()
    expect(bar).to_be_hidden()
    expect(page.locator("tbody .pill", has_text="Cancelled")).to_have_count(3)


def test_all_that_match_are_deleted_in_the_background_with_progress(
    page: Page, someone: Client
) -> None:
    start(someone, someone.make_workflow("short", NOOP), 120)
    last = someone.start(someone.make_workflow("last", NOOP))
    someone.wait(last["id"])
    page.goto("/runs/?status=succeeded&search=short")
    page.locator("[data-select]").first.check()
    page.locator("[data-bulk-all]").check()
    expect(page.locator("[data-bulk-count]")).to_have_text("All 120 runs chosen")
    page.locator("#bulk-form").get_by_role("button", name="Delete").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("This is done in the background.")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.locator("#bulk-job")).to_be_visible()
    expect(dialog.locator("#bulk-job .pill")).to_have_text("Succeeded", timeout=30_000)
    expect(dialog.locator(".bulk-figures")).to_contain_text("120")
    expect(page.locator("#list")).to_contain_text("Nothing matches")
    assert someone.get("/runs").json()["count"] == 1


def test_a_view_is_saved_opens_by_itself_is_renamed_and_forgotten(
    page: Page, someone: Client, axe: Callable[[Page], list[str]]
) -> None:
    page.goto("/agents/")
    page.locator("#chip-tag").click()
    page.locator("#filter-tag").get_by_label("eu").check()
    page.wait_for_url("**/agents/?tag=eu")
    page.keyboard.press("Escape")
    page.locator("#views-button").click()
    page.get_by_role("link", name="Save this view").click()
    page.get_by_label("Name").fill("European")
    page.get_by_label("Open the list with it").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("View European saved.")
    page.goto("/agents/")
    assert page.url.endswith("/agents/?tag=eu")
    expect(page.locator("#views-button")).to_have_text("European")
    page.locator("#filters-clear a").click()
    page.wait_for_url("**/agents/?view=all")
    page.locator("#views-button").click()
    assert axe(page) == []
    page.get_by_role("link", name="Change European").click()
    page.get_by_label("Name").fill("Old world")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/agents/?tag=eu")
    expect(page.locator("#views-button")).to_have_text("Old world")
    page.locator("#views-button").click()
    page.get_by_role("link", name="Delete Old world").click()
    page.locator("dialog[open] input[name=confirm_name]").fill("Old world")
    page.locator("dialog[open]").get_by_role("button", name="Delete").click()
    page.wait_for_url(re.compile("/agents/$"))


def test_an_agent_goes_to_the_trash_and_comes_back(page: Page, someone: Client) -> None:
    page.goto("/agents/")
    page.get_by_role("button", name="Actions of Scout").click()
    page.get_by_role("link", name="Delete").click()
    page.locator("dialog[open]").get_by_role("button", name="Delete").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("link", name="Agents").last.click()
    page.get_by_role("button", name="Actions of Scout").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".toast")).to_contain_text("Agent Scout is back.")
    expect(page.locator("#list")).to_contain_text("Nothing in the trash")
    assert someone.get("/agents").json()["count"] == 2


def test_two_people_at_one_thing_see_both_versions(
    page: Page, someone: Client, axe: Callable[[Page], list[str]]
) -> None:
    tool = someone.get("/tools", search="noop").json()["results"][0]
    page.goto(f"/tools/{tool['id']}/")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Mine")
    someone.patch(f"/tools/{tool['id']}", {"name": "Theirs", "description": "From elsewhere"})
    page.get_by_role("button", name="Save").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Somebody else saved this")
    expect(dialog.locator(".dispute")).to_have_count(2)
    assert axe(page) == []
    name = dialog.locator(".dispute", has_text="Name")
    expect(name).to_contain_text("Theirs")
    expect(name.get_by_label("Keep mine")).to_be_checked()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("saved")
    kept = someone.get(f"/tools/{tool['id']}").json()
    assert (kept["name"], kept["description"]) == ("Mine", "From elsewhere")


def test_a_flood_of_events_is_gathered_and_ticks_outlive_it(page: Page, someone: Client) -> None:
    short = someone.make_workflow("short", NOOP)
    start(someone, someone.make_workflow("long", LONG), 3)
    asked: list[str] = []
    page.on("request", lambda request: "rows=" in request.url and asked.append(request.url))
    page.goto("/runs/?page_size=100")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    page.locator("[data-select]").nth(1).check()
    page.mouse.move(5, 5)
    start(someone, short, 400)
    expect(page.locator(".new-rows")).to_have_text("400 new runs", timeout=20_000)
    page.locator(".new-rows").click()
    expect(page.locator("tbody tr")).to_have_count(100)
    start(someone, short, 1)
    expect(page.locator(".new-rows")).to_have_text("1 new run")
    assert len(asked) <= 20, "rows are fetched together, not one by one"
    page.goto("/runs/?search=long")
    row = page.locator("tbody tr").first
    row.locator("[data-select]").check()
    page.mouse.move(5, 5)
    run = (row.get_attribute("id") or "").removeprefix("row-")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    someone.post(f"/runs/{run}/cancel")
    expect(row.locator(".pill")).to_have_text("Cancelled")
    expect(row.locator("[data-select]")).to_be_checked()


def test_a_changed_agent_fetches_its_row_anew(page: Page, someone: Client) -> None:
    agent = someone.get("/agents", search="scout").json()["results"][0]
    page.goto("/agents/")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
    page.mouse.move(5, 5)
    page.evaluate("id => { document.getElementById(`row-${id}`).dataset.old = 'yes' }", agent["id"])
    answer = someone.post(f"/agents/{agent['id']}/deploy", {"environment": "dev"})
    assert answer.status_code == 201, answer.text
    expect(page.locator(f"#row-{agent['id']}:not([data-old])")).to_be_visible()


def test_a_fault_of_the_server_is_told_with_the_requests_id(page: Page, someone: Client) -> None:
    page.goto("/agents/")
    page.route(
        "**/agents/?search=scout",
        lambda route: route.fulfill(status=500, headers={"X-Request-ID": "req-77"}, body="x"),
    )
    page.locator("#filter-search").fill("scout")
    toast = page.locator(".toast")
    expect(toast).to_contain_text("The server could not do this (500).")
    expect(toast).to_contain_text("req-77")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.unroute("**/agents/?search=scout")
    toast.get_by_role("button", name="Try again").click()
    expect(page.locator("tbody tr")).to_have_count(1)

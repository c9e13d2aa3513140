"""Every page against the rules of WCAG 2.2 AA, light and dark, wide and narrow; and by keyboard."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.tour import FOR_STRANGERS, addresses, walk
from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

AXE = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text()
CHECK = """async () => {
  const values = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  // Colours that are still on their way to the other theme are none.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (const running of document.getAnimations()) running.cancel();
  const options = { runOnly: { type: 'tag', values }, iframes: false, preload: false };
  const found = await axe.run(document, options);
  const said = (fault, node) =>
    `${fault.id}: ${node.target.join(' ')} ${node.failureSummary.split('\\n')[1] || ''}`;
  return found.violations.flatMap((fault) => fault.nodes.map((node) => said(fault, node)));
}"""
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOOKS = ((WIDE, "light"), (NARROW, "dark"), (WIDE, "dark"), (NARROW, "light"))
# Pages with these in the path are looked at in all four ways; they hold every component between
# them. Others take turns: forms one way each, the rest two.
IN_FULL = re.compile(r"^/(runs/|agents/|approvals/|tools/|components/)?$")


def looks_of(path: str, number: int, *, is_form: bool) -> list[tuple[dict[str, int], str]]:
    """The sizes and themes in which the `number`th page is looked at by `make scale`."""
    if IN_FULL.match(path):
        return list(LOOKS)
    if is_form:
        return [LOOKS[number % 4]]
    return list(LOOKS[:2] if number % 2 else LOOKS[2:])


def faults(page: Page, looks: Any = LOOKS) -> list[str]:
    """What breaks a rule on this page, in both themes, wide and narrow."""
    found = []
    for size, scheme in looks:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{size['width']} {scheme}: {fault}" for fault in page.evaluate(CHECK)]
    return found


@pytest.fixture
def furnished(stack: Stack, page: Page, sign_in: Callable[..., Client]) -> Client:
    """An owner with something of everything, signed in on the page."""
    page.add_init_script(AXE)
    client = sign_in(page)
    furnish(client)
    stack.sql("UPDATE user_account SET is_staff = true, is_superuser = true WHERE email = %s",
              [client.email])  # fmt: skip
    return client


def furnish(client: Client) -> None:
    """Rows for each list, and runs that succeeded, failed and wait."""
    project = client.project
    for slug in ("echo", "fail", "sleep"):
        client.make_tool(slug, slug)
    client.made("/agents", {
        "project": project, "slug": "packer", "name": "Packer", "kind": "model",
        "config": {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m",
                   "instructions": "Be brief.", "tools": ["echo"]},
    })  # fmt: skip
    client.made("/secrets", {"project": project, "name": "openai", "value": "sk-1234567890",
                             "allowed_hosts": ["api.example.com"]})  # fmt: skip
    client.made("/api-keys", {"project": project, "name": "deploy"})
    client.made(f"/projects/{project}/members", {"email": "new@example.com", "role": "viewer"})
    client.made(f"/projects/{project}/environments", {"name": "qa"})
    approval = {"id": "ask", "kind": "approval", "title": "Send it?", "show": "${input}"}
    definitions = {
        "fine": [{"id": "a", "kind": "tool", "tool": "echo", "arguments": {"x": 1}}],
        "red": [{"id": "a", "kind": "tool", "tool": "fail", "arguments": {}}],
        "ask": [approval],
    }
    ids = []
    for slug, nodes in definitions.items():
        made = client.make_workflow(slug, {"nodes": nodes, "edges": []})
        run = client.made("/runs", {"workflow": made["id"], "environment": "dev", "input": {}})
        ids.append(run["id"])
    client.wait(ids[0])
    client.wait(ids[1])
    client.made("/exports", {"project": project, "list": "runs", "format": "csv"})


def test_the_main_pages_and_a_share_of_the_others_break_no_rule(
    page: Page, furnished: Client
) -> None:
    every = list(addresses(furnished))
    share = [path for at, path in enumerate(every) if IN_FULL.match(path) or at % 10 == 0]
    found = {}
    for number, path in enumerate(walk(page, share)):
        if wrong := faults(page, [LOOKS[number % 4]]):
            found[path] = wrong
    assert not found, told(found)


@pytest.mark.scale
def test_no_page_breaks_a_rule(page: Page, furnished: Client) -> None:
    found = {}
    for number, path in enumerate(walk(page, addresses(furnished))):
        is_form = page.locator("main > form.dialog-form").count() > 0
        if wrong := faults(page, looks_of(path, number, is_form=is_form)):
            found[path] = wrong
    assert not found, told(found)


def told(found: dict[str, list[str]]) -> str:
    """The faults, a line each."""
    return "\n".join(f"{path} {line}" for path, lines in found.items() for line in lines)


def test_no_page_for_strangers_breaks_a_rule(page: Page, stack: Stack) -> None:
    page.add_init_script(AXE)
    found = {}
    for path in (*FOR_STRANGERS, "/nothing-here/"):
        page.goto(path)
        if wrong := faults(page):
            found[path] = wrong
    assert not found, found


# --- by keyboard alone

# What a pointer can reach: shown, enabled, and no copy for other readers.
REACHABLE = """() => {
  const wanted = 'a[href], button, input:not([type=hidden]):not([type=radio]), select, textarea, '
    + 'summary, [tabindex="0"]';
  const seen = window.seen ??= new Set();
  return [...document.querySelectorAll(wanted)]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
    .filter((each) => each.tabIndex >= 0 && !seen.has(each))
    .map((each) => each.outerHTML.slice(0, 120));
}"""
WATCH = """() => {
  window.seen = new Set();
  window.unmarked = [];
  document.addEventListener('focusin', (event) => {
    window.seen.add(event.target);
    const look = getComputedStyle(event.target);
    if (look.outlineStyle === 'none' && look.boxShadow === 'none') {
      window.unmarked.push(event.target.outerHTML.slice(0, 120));
    }
  });
}"""


# The browser's own controls come between the last and the first.
INSIDE = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"


def tab_through(page: Page, most: int = 250) -> None:
    """Press Tab until the focus has left the page or everything was reached."""
    page.evaluate(WATCH)
    for pressed in range(most):
        page.keyboard.press("Tab")
        if pressed % 25 == 24 and not page.evaluate(REACHABLE):
            break


def test_tab_reaches_everything_and_shows_where_it_is(page: Page, furnished: Client) -> None:
    run = furnished.get("/runs", status="failed").json()["results"][0]["id"]
    for path in ("/runs/", f"/runs/{run}/"):
        page.goto(path)
        tab_through(page)
        assert page.evaluate(REACHABLE) == [], path
        assert page.evaluate("window.unmarked") == [], path


def test_a_dialog_holds_the_focus_and_gives_it_back(page: Page, furnished: Client) -> None:
    page.goto("/runs/")
    opener = page.get_by_role("link", name="Start a run")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Start a run")
    page.evaluate(WATCH)
    for _ in range(30):
        if page.evaluate("document.activeElement.className === 'editor'"):
            page.keyboard.press("Escape")  # Tab indents in an editor, which says so
        page.keyboard.press("Tab")
        assert page.evaluate(INSIDE)
    assert page.evaluate("[...window.seen].every((each) => each.closest('dialog'))")
    assert page.evaluate("window.seen.size") > 5
    page.locator("dialog[open] button[data-close]").first.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")  # the second one where something was typed
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(opener).to_be_focused()

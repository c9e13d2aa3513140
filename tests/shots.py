"""`make shots`: every page of a seeded stack, light and dark, wide and narrow, into .shots/."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import django
from playwright.sync_api import Browser, sync_playwright

from controlplane.supervisor.config import ROOT
from tests.browser.tour import FOR_STRANGERS, addresses, walk
from tests.support import chromium
from tests.support.servers import KEYS, new_postgres
from tests.support.stack import Stack

EMAIL, PASSWORD = "demo@sparkops.local", "Correct-horse-7-battery"
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
NAMES = re.compile(r"[^a-z]+")
IDS = re.compile(r"/([0-9a-f]{8}-[0-9a-f-]{27}|\d+)(?=/)")


def name_of(path: str) -> str:
    """What the picture of a page is called: its address, with `one` for an id."""
    return NAMES.sub("-", IDS.sub("/one", path).lower()).strip("-") or "dashboard"


def shoot(
    browser: Browser, url: str, paths: list[str], size: str, scheme: str, folder: Path
) -> int:
    """All pages in one size and one theme; how many."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme
    )
    page = context.new_page()
    count = 0

    def shot(name: str) -> None:
        nonlocal count
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
        count += 1

    for path in (*FOR_STRANGERS, "/nothing-here/"):
        page.goto(path)
        shot(name_of(path))
    page.goto("/accounts/login/")
    page.fill("input[name=login]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    for path in walk(page, paths):
        shot(name_of(path))
    context.close()
    return count


def main() -> int:
    """Start a stack, seed it, take the pictures."""
    os.environ.update(KEYS)
    out = ROOT / ".shots"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sparkops-shots-") as place:
        postgres = new_postgres(Path(place) / "pg")
        stack = Stack(Path(place) / "stack", postgres, name="shots")
        stack.environment |= {
            "SPARKOPS_DEMO_URL": stack.demo_url,
            "SPARKOPS_DEMO_EMAIL": EMAIL,
            "SPARKOPS_DEMO_PASSWORD": PASSWORD,
        }
        os.environ.update(stack.environment)
        django.setup()  # for the routes
        try:
            stack.start()
            stack.manage("seed_demo")
            time.sleep(8)
            paths = addresses(stack.client().login(EMAIL, PASSWORD))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium.get(), args=chromium.ARGUMENTS
                )
                sizes = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
                count = sum(shoot(browser, stack.url, paths, *each, out) for each in sizes)
                browser.close()
        finally:
            stack.stop()
            postgres.stop()
    sys.stdout.write(f"{count} pictures in {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

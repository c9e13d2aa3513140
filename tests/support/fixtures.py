"""Fixtures every test may use: the database, a running stack, a browser, accessibility checks."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page
from pytest_django import DjangoDbBlocker

from tests.support import chromium, session
from tests.support.client import Client
from tests.support.servers import new_postgres
from tests.support.stack import Stack

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """The session's servers instead of a database made by the test runner."""
    session.valkey()
    session.postgres()


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    """Each test starts with an empty cache and no sign-in counted against it."""
    if session.valkey.cache_info().currsize:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(session.valkey().server.socket))
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(16)


@pytest.fixture(scope="session")
def make_stack() -> Iterator[Callable[..., Stack]]:
    """Start another stack: make_stack(workers=2, settings={...}, own_postgres=True)."""
    made: list[Callable[[], None]] = []

    def make(*, own_postgres: bool = False, **options: Any) -> Stack:
        folder = session.folder() / f"s-{secrets.token_hex(3)}"
        postgres = session.postgres()
        if own_postgres:
            postgres = new_postgres(folder / "pg")
            made.append(postgres.stop)
        stack = Stack(folder, postgres, **options)
        made.append(stack.stop)
        return stack.start()

    yield make
    for stop in reversed(made):
        stop()


@pytest.fixture(scope="session")
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """Real web, worker and ticker processes, shared by the session's tests."""
    return make_stack()


@pytest.fixture
def stack_user(stack: Stack) -> Client:
    """A new user of the stack, owner of a project of her own."""
    return stack.register("Ana")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failing test of the stack shows what the processes logged."""
    outcome: Any = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("stack")
    if report.failed and call.when == "call" and isinstance(running, Stack):
        report.sections.append(("logs of the stack", running.logs()))


# --- browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """How pytest-playwright starts the browser."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright runs an event loop in this thread
    path = chromium.find()
    if path is None:
        pytest.fail(chromium.SENTENCE, pytrace=False)
    return {"executable_path": path, "args": chromium.ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(stack: Stack) -> dict[str, Any]:
    """Every page belongs to the stack."""
    return {"base_url": stack.url, "viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page that must not break the content policy nor throw in its scripts."""
    faults: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            faults.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert not faults, faults


@pytest.fixture
def sign_in(stack: Stack) -> Callable[..., Client]:
    """Sign a page in: sign_in(page) as a new user, or sign_in(page, client). What its form sends
    is sent without showing it; `tests/tools/test_pages.py` signs in by the form itself."""

    def signed_in(page: Page, client: Client | None = None) -> Client:
        client = client or stack.register("Ana")
        asked = page.context.request
        asked.get("/accounts/login/")
        cookies = {each["name"]: each["value"] for each in page.context.cookies()}
        form = {"login": client.email, "password": client.password}
        answer = asked.post(
            "/accounts/login/",
            form={**form, "csrfmiddlewaretoken": cookies["csrftoken"]},
        )
        assert "/accounts/" not in answer.url, answer.text()
        return client

    return signed_in


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """Check a page: the serious accessibility faults as lines, empty if there are none."""
    checker = Axe()

    def check(page: Page) -> list[str]:
        found = checker.run(page).response["violations"]
        return [
            f"{fault['id']}: {fault['help']} at {node['target']}"
            for fault in found
            if fault["impact"] in SERIOUS
            for node in fault["nodes"]
        ]

    return check


@pytest.fixture
def shots() -> Path:
    """Where a test may leave a screenshot for a person to look at."""
    folder = Path(__file__).resolve().parents[2] / ".shots"
    folder.mkdir(exist_ok=True)
    return folder

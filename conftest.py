"""Plumbing of pytest: shared fixtures, the order of tests, and the end of the test servers."""

import pytest

from tests.support import session

pytest_plugins = ["tests.support.fixtures", "tests.support.cast"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop would stop later asynchronous tests."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_unconfigure() -> None:
    """End the servers of this session."""
    session.stop()

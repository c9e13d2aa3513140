"""Plumbing of pytest: shared fixtures, the order of tests, and the end of the test servers."""

import logging

import hypothesis
import pytest

from tests.support import session

pytest_plugins = ["tests.support.fixtures", "tests.support.cast"]


DATABASE_FIXTURES = {"db", "transactional_db", "stack", "engine_database"}


# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--database-only` leaves out what never asks the database."""
    parser.addoption("--database-only", action="store_true")


def asks_database(item: pytest.Item) -> bool:
    """Whether a test uses the database by a mark or by a fixture."""
    names = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(names & DATABASE_FIXTURES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop would stop later asynchronous tests."""
    if config.getoption("--database-only"):
        items[:] = [item for item in items if asks_database(item)]
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_unconfigure() -> None:
    """End the servers of this session. Engines that a test let die go on looking for theirs, and
    would say so where nobody hears it any more."""
    logging.raiseExceptions = False
    session.stop()

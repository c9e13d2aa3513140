"""One scene for the fault tests, on a PostgreSQL of its own that may be crashed."""

from collections.abc import Callable, Iterator

import pytest

from tests.chaos.counter import Book
from tests.chaos.scene import Scene
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def book() -> Iterator[Book]:
    """The counting server."""
    book = Book()
    yield book
    book.close()


@pytest.fixture(scope="session")
def _scene(make_stack: Callable[..., Stack], book: Book) -> Scene:
    stack = make_stack(
        own_postgres=True, workers=1, settings={"SPARKOPS_EGRESS_ALLOW": book.address}
    )
    return Scene(stack, book)


@pytest.fixture
def scene(_scene: Scene) -> Iterator[Scene]:
    """Everything runs when a test begins, and the book holds nobody up when it ends."""
    stack = _scene.stack
    if stack.postgres.pid is None:
        stack.postgres.start()
    if stack.valkey.pid is None:
        stack.valkey.start()
    for name, start in (("web", stack.start_web), ("ticker", stack.start_ticker)):
        if name not in stack.pids:
            start()
    if "worker-1" not in stack.pids:
        stack.start_worker(1)
    stack.wait_ready()
    _scene.book.go.clear()
    yield _scene
    _scene.book.go.set()

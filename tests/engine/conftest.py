"""The house of engines on a database of its own, and names of calls that no other test uses."""

import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from projects.models import Project
from projects.people import User
from projects.services import create_project
from tests.engine import functions
from tests.engine.house import House, call, graph
from tests.engine.shapes import made_workflow
from tests.support import session
from tests.support.cast import make_user
from tests.support.client import Client
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def engine_database(django_db_setup: None) -> str:
    """A database whose rows are committed and stay: engines are many connections. Tests use
    projects of their own, so that nothing needs to be emptied."""
    session.postgres().create_database("engine")
    return "engine"


@pytest.fixture
def committed(engine_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The ORM on the engines' database."""
    names = (settings.DATABASES["default"], connection.settings_dict)
    before = [each["NAME"] for each in names]
    connection.close()
    for each in names:
        each["NAME"] = engine_database
    with django_db_blocker.unblock():
        yield
        connection.close()
    for each, name in zip(names, before, strict=True):
        each["NAME"] = name


@pytest.fixture
def own(committed: None) -> User:
    """An owner."""
    return make_user("Own", email=f"own-{secrets.token_hex(6)}@example.com")


@pytest.fixture
def project(own: User) -> Project:
    """Their project."""
    return create_project(actor=own, name=f"House {secrets.token_hex(6)}")


@pytest.fixture
def house(
    project: Project,
    own: User,
    make_tool: Callable[..., Any],
    make_workflow: Callable[..., Any],
) -> Iterator[House]:
    """Engines in this process, ended with the test."""
    house = House(project, own, {"tool": make_tool, "workflow": make_workflow})
    yield house
    for gate in functions.GATES.values():
        gate.set()
    house.stop()
    assert not house.errors, house.errors


@pytest.fixture(scope="session")
def one_eva(stack: Stack) -> Client:
    """Registered once: one address may do that 60 times a minute."""
    return stack.register("Eva")


@pytest.fixture
def eva(one_eva: Client) -> Client:
    """A user of the real processes, in a new project of her own."""
    one_eva.project = one_eva.made("/projects", {"name": f"Eva {secrets.token_hex(4)}"})["id"]
    return one_eva


@pytest.fixture
def name() -> str:
    """A name for counted calls."""
    return secrets.token_hex(4)


@pytest.fixture
def gate(name: str) -> Iterator[threading.Event]:
    """The gate of the held calls of `name`."""
    functions.GATES[name] = threading.Event()
    yield functions.GATES[name]
    functions.GATES[name].set()


# Routes


@pytest.fixture
def workflow(eva: Client) -> dict[str, Any]:
    """A workflow of her new project."""
    return made_workflow(eva)


@pytest.fixture(scope="module")
def settled(one_eva: Client) -> dict[str, Any]:
    """A workflow with one finished run in a project that no test changes."""
    one_eva.project = one_eva.made("/projects", {"name": f"Settled {secrets.token_hex(4)}"})["id"]
    made = made_workflow(one_eva)
    one_eva.wait(one_eva.start(made, {"x": 41})["id"])
    return made


@pytest.fixture
def finished(eva: Client, workflow: dict[str, Any]) -> dict[str, Any]:
    """A run of it that succeeded."""
    return eva.wait(eva.start(workflow, {"x": 41})["id"])


@pytest.fixture
def nap(eva: Client) -> Callable[..., dict[str, Any]]:
    """Start a run whose one step sleeps."""
    eva.make_tool("nap", "sleep")
    made = eva.make_workflow("naps", graph({"a": call("nap", seconds="${input.seconds}")}))
    return lambda seconds=30, **more: eva.start(made, {"seconds": seconds}, **more)

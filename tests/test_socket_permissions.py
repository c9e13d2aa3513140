"""The permission table of the sockets: socket × visitor, and the ways a visitor may come."""

import asyncio

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator

from controlplane.asgi import application
from projects import keys, services, tokens
from projects.models import Membership
from projects.people import User
from projects.roles import Role
from tests.support.cast import make_user
from tests.support.routes import shape
from tests.support.world import World

READY, NOT_SIGNED_IN, FORBIDDEN, ABSENT = 0, 4401, 4403, 4404
SOCKETS = ("/ws/runs/{run}", "/ws/agents/{agent}", "/ws/activity?project={project}")
MEMBERS = ("vic", "ana", "ada", "own")

pytestmark = pytest.mark.django_db(transaction=True)


async def _outcome(path: str, offered: list[str]) -> int:
    """0 where the socket gets ready, else the code it is closed with."""
    socket = WebsocketCommunicator(application, path, subprotocols=offered)
    accepted, chosen = await socket.connect(timeout=10)
    assert accepted
    assert chosen == ("bearer" if offered else None)
    answer = await socket.receive_output(timeout=10)
    await socket.disconnect()
    return READY if answer["type"] == "websocket.send" else answer["code"]


def outcomes(cells: list[tuple[str, list[str]]]) -> list[int]:
    """What becomes of each (path, subprotocols), in order."""

    async def all_of_them() -> list[int]:
        return [await asyncio.wait_for(_outcome(*cell), 20) for cell in cells]

    return async_to_sync(all_of_them)()


def bearer(user: User) -> list[str]:
    return ["bearer", tokens.issue(user).access]


@pytest.fixture
def world(project, own, make_secret, make_tool, make_agent, make_workflow, make_run) -> World:
    makers = {"agent": make_agent, "run": make_run}
    return World(project, own, makers)


def test_every_socket_asks_every_visitor(world, own, ada, ana, vic, bo) -> None:
    people = {"vic": vic, "ana": ana, "ada": ada, "own": own, "bo": bo}
    offers = {name: bearer(user) for name, user in people.items()} | {"nobody": []}
    wanted = dict.fromkeys(MEMBERS, READY) | {"bo": ABSENT, "nobody": NOT_SIGNED_IN}
    for socket in SOCKETS:
        path = world.fill(socket)
        found = dict(zip(offers, outcomes([(path, o) for o in offers.values()]), strict=True))
        assert found == wanted, socket


def test_a_key_reaches_its_project_and_scopes_only(world, own, project) -> None:
    def offer(**fields: object) -> list[str]:
        own.forget_roles()
        return ["bearer", keys.create(actor=own, name="k", **fields)[1]]

    other = services.create_project(actor=own, name="Another")
    path = world.fill("/ws/runs/{run}")
    cells = [
        (path, offer(project=project, scopes=[])),
        (path, offer(project=project, scopes=["runs:read"])),
        (path, offer(project=project, scopes=["tools:write"])),
        (path, offer(project=other, scopes=[])),
    ]
    assert outcomes(cells) == [READY, READY, FORBIDDEN, ABSENT]


def test_what_does_not_hold_is_not_signed_in(world, project) -> None:
    path = world.fill("/ws/runs/{run}")
    gone = make_user("Gone")
    Membership.objects.create(project=project, user=gone, role=Role.ADMIN)
    offer = bearer(gone)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    cells = [(path, ["bearer", "nonsense"]), (f"{path}?ticket=unknown", []), (path, offer)]
    assert outcomes(cells) == [NOT_SIGNED_IN] * 3


@pytest.mark.parametrize(
    "path", ["/ws/runs/x", "/ws/agents/x", "/ws/activity", "/ws/activity?project=x"]
)
def test_a_malformed_id_is_absent(own, project, path) -> None:
    assert outcomes([(path, bearer(own))]) == [ABSENT]


def test_every_socket_is_in_the_table() -> None:
    routes = application.application_mapping["websocket"].routes
    served = {shape(str(route.pattern)) for route in routes}
    assert served == {shape(path.split("?")[0]) for path in SOCKETS}

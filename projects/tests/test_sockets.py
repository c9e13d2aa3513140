"""Who a WebSocket handshake stands for: session, bearer pair, ticket."""

from datetime import timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.utils import timezone

from projects import tickets, tokens
from projects.authentication import find_user, refreshed, user_from_scope
from projects.models import Membership
from projects.people import User
from tests.support.cast import Api, make_user

HOST = "ops.example.com"


def scope(*, cookie="", origin=f"https://{HOST}", offered=(), query="") -> dict:
    headers = {"host": HOST, "cookie": cookie, "origin": origin}
    return {
        "type": "websocket",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items() if v],
        "subprotocols": list(offered),
        "query_string": query.encode(),
    }


@pytest.fixture
def cookie(client, ana) -> str:
    client.force_login(ana)
    return f"other=1; sessionid={client.cookies['sessionid'].value}"


def test_a_session_of_the_same_origin_is_its_user(cookie, ana, project):
    user, subprotocol = find_user(scope(cookie=cookie))
    assert (user, subprotocol) == (ana, None)
    assert user.project_roles() == {project.pk: "operator"}


@pytest.mark.parametrize(
    "origin", ["https://evil.com", "", "null", f"https://{HOST}.evil.com", f"https://{HOST}:444"]
)
def test_a_session_from_elsewhere_is_nobody(cookie, origin):
    assert find_user(scope(cookie=cookie, origin=origin)) == (None, None)


def test_the_public_url_is_an_origin_of_ours(cookie, ana, settings):
    settings.PUBLIC_URL = "https://public.example.com"
    user, _ = find_user(scope(cookie=cookie, origin="https://public.example.com"))
    assert user == ana


def test_a_bad_cookie_is_nobody(db):
    assert find_user(scope(cookie="sessionid=unknown")) == (None, None)
    assert find_user(scope()) == (None, None)


def test_the_bearer_pair_is_selected_and_needs_no_origin(ana):
    pair = tokens.issue(ana)
    found = find_user(scope(origin="https://evil.com", offered=["bearer", pair.access]))
    assert found == (ana, "bearer")


def test_an_api_key_works_as_bearer(api, ada, project):
    key = api(ada).post("/api-keys", {"project": str(project.pk), "name": "k"}).json()["key"]
    user, subprotocol = find_user(scope(offered=["bearer", key]))
    assert (user, subprotocol) == (ada, "bearer")
    assert list(user.project_roles()) == [project.pk]


@pytest.mark.parametrize("offered", [["bearer"], ["bearer", "nonsense"], ["bearer", "spk_x.y"]])
def test_a_bad_bearer_pair_is_refused_and_not_rescued_by_a_cookie(cookie, offered):
    assert find_user(scope(cookie=cookie, offered=offered)) == (None, "bearer")


def test_a_ticket_opens_one_socket(api, ana):
    pair = tokens.issue(ana)
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    answer = client.post("/auth/ws-ticket")
    assert set(answer.json()) == {"ticket"}
    query = f"after=3&ticket={answer.json()['ticket']}"
    assert find_user(scope(query=query, origin="")) == (ana, None)
    assert find_user(scope(query=query, origin="")) == (None, None)


def test_a_session_gets_a_ticket_too(client, ana):
    client.force_login(ana)
    ticket = client.post("/api/v1/auth/ws-ticket").json()["ticket"]
    assert find_user(scope(query=f"ticket={ticket}", origin=""))[0] == ana


def test_a_ticket_dies_with_its_credential(ana):
    pair = tokens.issue(ana)
    ticket = tickets.give(tokens.read_access(pair.access))
    tokens.revoke(pair.refresh)
    assert find_user(scope(query=f"ticket={ticket}")) == (None, None)


def test_a_ticket_lasts_half_a_minute(ana):
    ticket = tickets.give(tokens.read_access(tokens.issue(ana).access))
    client = tickets.queue.connection()
    assert 25 <= client.ttl(tickets._KEY + tokens.sha256(ticket)) <= 30


def test_a_stranger_gets_no_ticket(db):
    assert Api(None).post("/auth/ws-ticket").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ended_is_noticed(client):
    ana = make_user("Ana")
    client.force_login(ana)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    user, _ = async_to_sync(user_from_scope)(scope(cookie=cookie))
    assert async_to_sync(refreshed)(user) == ana
    Session.objects.all().delete()
    assert async_to_sync(refreshed)(user) is None


@pytest.mark.django_db(transaction=True)
def test_a_lost_membership_deactivation_and_revocation_are_noticed(project):
    ana = make_user("Ana")
    Membership.objects.create(project=project, user=ana, role="operator")
    pair = tokens.issue(ana)
    user, _ = async_to_sync(user_from_scope)(scope(offered=["bearer", pair.access]))
    assert list(user.project_roles()) == [project.pk]
    Membership.objects.filter(user=ana).delete()
    assert async_to_sync(refreshed)(user).project_roles() == {}
    User.objects.filter(pk=ana.pk).update(is_active=False)
    assert async_to_sync(refreshed)(user) is None
    User.objects.filter(pk=ana.pk).update(is_active=True)
    tokens.revoke(pair.refresh)
    assert async_to_sync(refreshed)(user) is None


def test_an_open_socket_outlives_its_access_token(ana):
    user, _ = find_user(scope(offered=["bearer", tokens.issue(ana).access]))
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert find_user(scope(offered=["bearer", "x"]))[0] is None
        assert user.credential.kind == "access"

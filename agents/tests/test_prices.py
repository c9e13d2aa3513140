"""The page of prices: what holds, what overlaps, what is called without one."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents import pricing
from agents.models import ModelCall, ModelPrice
from controlplane.kit.ids import uuid7
from tests.support.cast import Api

pytestmark = pytest.mark.django_db
PRICE = {"provider": "openai", "model": "m-1", "input_per_million": "1", "output_per_million": "2"}


@pytest.fixture
def price(project: Any, ada: Any) -> Any:
    """`price("2026-01-01", until=None, **fields)`: POST /model-prices as the admin."""

    def made(begin: str, until: str | None = None, **fields: Any) -> Any:
        end = f"{until}T00:00:00Z" if until else None
        body = {**PRICE, "effective_from": f"{begin}T00:00:00Z", "effective_until": end}
        return Api(ada).post("/model-prices", {"project": str(project.pk), **body, **fields})

    return made


@pytest.fixture
def web(ada: Any) -> Client:
    """The admin's browser."""
    client = Client()
    client.force_login(ada)
    return client


def called(agent: Any, model: str, *, status: str = "unpriced") -> None:
    ModelCall.objects.create(
        id=uuid7(),
        project=agent.project,
        agent=agent,
        agent_version=agent.current,
        provider="openai",
        model=model,
        state="succeeded",
        input_tokens=1000,
        price_status=status,
        started_at=timezone.now(),
    )


def test_prices_that_would_hold_at_the_same_time_are_refused(price, ada) -> None:
    first = price("2026-01-01")
    assert first.status_code == 201, first.content
    twice = price("2026-01-01")
    assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "overlap")
    assert "openai m-1 has a price from 2026-01-01 00:00 UTC on already" in twice.json()["detail"]
    assert price("2026-01-01", source="import").status_code == 201, "imported ones stand below"
    assert price("2026-03-01", "2026-04-01").status_code == 201, "an open end yields"
    inside = price("2026-03-15").json()["errors"][0]
    assert (inside["field"], inside["code"]) == ("effective_from", "overlap")
    assert "that holds from 2026-03-01 00:00 UTC until 2026-04-01 00:00 UTC" in inside["message"]
    over = price("2026-02-01", "2026-03-02").json()["errors"][0]
    assert (over["field"], over["code"]) == ("effective_until", "overlap")
    back = price("2026-06-01", "2026-05-01").json()["errors"][0]
    assert back["message"] == "The end must lie after the beginning."
    assert price("2026-04-01").status_code == 201, "one ends as the next begins"
    url = f"/model-prices/{first.json()['id']}"
    assert Api(ada).patch(url, {"effective_until": "2026-03-05T00:00:00Z"}).status_code == 422
    assert ModelPrice.objects.count() == 4


def test_a_price_that_ended_no_longer_counts(price, project) -> None:
    now = timezone.now()
    before, after = (now - timedelta(days=9)).date(), (now - timedelta(days=2)).date()
    assert price(str(before), str(after)).status_code == 201
    pricing.forget()
    prices = pricing.price_list(project.pk)
    url = "http://127.0.0.1:9/v1"
    assert prices.rates("openai", url, ["m-1"]) is None
    found = prices.rates("openai", url, ["m-1"], at=now - timedelta(days=5))
    assert found is not None
    assert found.input == 1


def test_the_page_tells_what_holds_and_what_is_called_without_a_price(
    price, web, agent, django_assert_max_num_queries
) -> None:
    price("2026-01-01")
    price("2026-02-01", output_per_million="3")
    price("2099-01-01")
    for model in ("m-1", "dear", "dear"):
        called(agent, model)
    called(agent, "known", status="priced")
    with django_assert_max_num_queries(30):
        page = web.get("/agents/prices/").content.decode()
    assert "1 without a price" in page
    top = page[page.index("called-models") : page.index('id="list"')]
    assert top.index(">dear<") < top.index(">known<")
    assert "genai-prices" in top
    assert "own price" in top
    assert 'href="/agents/prices/new/?provider=openai&amp;model=dear"' in top
    shown = {
        state: web.get(f"/agents/prices/?holds={state}").content.decode().count('id="row-')
        for state in ("in_force", "to_come", "past")
    }
    assert shown == {"in_force": 1, "to_come": 1, "past": 1}
    assert web.get("/agents/prices/?provider=anthropic").content.decode().count('id="row-') == 0
    assert web.get("/api/v1/model-prices?holds=in_force").json()["count"] == 1


def test_a_price_is_set_changed_and_deleted_in_dialogs(web, agent) -> None:
    called(agent, "dear")
    form = web.get("/agents/prices/new/?provider=openai&model=dear").content.decode()
    assert 'value="dear"' in form
    body = {
        "provider": "openai",
        "model": "dear",
        "input_per_million": "0.5",
        "output_per_million": "1.5",
        "currency": "USD",
        "effective_from": "2026-01-01T00:00",
    }
    assert web.post("/agents/prices/new/", body).status_code == 302
    row = ModelPrice.objects.get()
    assert "all have a price" in web.get("/agents/prices/").content.decode()
    again = web.post("/agents/prices/new/", body)
    assert again.status_code == 422
    assert "change that one, or let this one begin at another time" in again.content.decode()
    edit = web.get(f"/agents/prices/{row.pk}/edit/").content.decode()
    assert 'value="0.5"' in edit
    assert 'value="2026-01-01T00:00"' in edit
    changed = web.post(f"/agents/prices/{row.pk}/edit/", {**body, "output_per_million": "2"})
    assert changed.status_code == 302
    row.refresh_from_db()
    assert (row.output_per_million, row.effective_from.isoformat()) == (
        2,
        "2026-01-01T00:00:00+00:00",
    )
    gone = web.post(f"/agents/prices/{row.pk}/delete/", {"confirm_name": "openai dear"})
    assert gone.status_code == 302
    assert not ModelPrice.objects.exists()

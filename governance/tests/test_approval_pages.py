"""The pages of approvals: what they show, to whom, and what the dialogs do."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import approvals
from governance.models import Approval
from projects.people import User
from tests.support.cast import make_user

pytestmark = pytest.mark.django_db
Ask = Callable[..., Approval]
HTMX = {"HTTP_HX_REQUEST": "true"}


def web(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def html(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def url(approval: Approval, verb: str = "") -> str:
    return f"/approvals/{approval.pk}/" + (f"{verb}/" if verb else "")


# The queue


def test_the_card_shows_exactly_what_will_happen(ask: Ask, ana: User) -> None:
    ask(
        title="Refund <b>A-1</b>?",
        requested_by_id=ana.pk,
        due_seconds=3600,
        quorum=2,
        shape="refund",
        packet={
            "reason": "Money leaves the house.",
            "show": "A lost parcel.",
            "environment": "prod",
            "policy": ["Money"],
            "cost": "0.0427",
            "diff": [{"path": "config.model", "before": "small", "after": "large"}],
            "risk": "low",
        },
    )
    page = html(web(ana).get("/approvals/"))
    for words in (
        "Refund &lt;b&gt;A-1&lt;/b&gt;?", "ops@example.com", "12.5", "Money leaves the house.",
        "A lost parcel.", "prod", "Money", "$0.0427", "config.model", "risk", "0 of 2", "Ana",
        "never asked", "it counts as rejected",
    ):  # fmt: skip
        assert words in page, words
    assert "<b>A-1</b>" not in page


def test_hidden_characters_are_made_visible(ask: Ask, ana: User) -> None:
    ask(title="Pay \u202eevil", packet={"show": "a\u200bb\x1b[31m", "reason": "\u2066r"})
    page = html(web(ana).get("/approvals/"))
    assert not {"\u202e", "\u200b", "\x1b", "\u2066"} & set(page)
    assert "\\u202e" in page


def test_a_packet_of_any_shape_is_shown(ask: Ask, ana: User) -> None:
    for packet in ({"diff": "odd", "policy": {"a": 1}}, {"show": [1, None]}, {"cost": "much"}):
        ask(packet=packet, arguments=[1, {"a": None}])
    page = html(web(ana).get("/approvals/"))
    assert page.count("data-approval") == 3
    assert "odd" in page


def test_the_queue_stands_in_the_order_of_urgency(ask: Ask, ana: User) -> None:
    for title, more in (
        ("late", {"due_seconds": 900}),
        ("never", {}),
        ("soon", {"due_seconds": 60}),
        ("missed", {"due_seconds": 1, "on_timeout": "escalate"}),
    ):
        ask(title=f"Q-{title}", **more)
    approvals.expire_due(timezone.now() + timedelta(seconds=5))
    page = html(web(ana).get("/approvals/"))
    places = [page.index(f"Q-{title}") for title in ("missed", "soon", "late", "never")]
    assert places == sorted(places)


def test_decided_ones_leave_the_queue_for_the_history(ask: Ask, ana: User) -> None:
    done = approvals.decide(ask(title="Q-done"), actor=ana, action="reject", comment="Too dear.")
    assert "Q-done" not in html(web(ana).get("/approvals/"))
    page = html(web(ana).get("/approvals/history/"))
    assert all(words in page for words in ("Q-done", "Rejected", "Ana", "Too dear."))
    page = html(web(ana).get(url(done)))
    assert all(words in page for words in ("Rejected by Ana", "Too dear.", "ops@example.com"))
    assert "data-verb" not in page


def test_who_may_not_decide_gets_no_buttons(ask: Ask, ana: User, vic: User) -> None:
    ask(assignees=["ada@example.com"])
    page = html(web(ana).get("/approvals/"))
    assert "Others were asked to decide this." in page
    assert "data-verb" not in page
    page = html(web(vic).get("/approvals/"))
    assert "data-approval" in page
    assert "data-verb" not in page


def test_without_an_object_there_is_nothing_to_edit(ask: Ask, ana: User) -> None:
    page = html(web(ana).get(url(ask(arguments=None))))
    assert 'data-verb="approve"' in page
    assert 'data-verb="edit"' not in page
    assert web(ana).get(url(ask(arguments=[1]), "edit"), **HTMX).status_code == 422


def test_an_empty_queue_says_what_will_stand_here(ana: User) -> None:
    page = html(web(ana).get("/approvals/"))
    assert "Nothing waits for anybody" in page
    assert 'data-live-refresh="approval."' in page


def test_a_stranger_sees_nothing_of_it(ask: Ask, bo: User) -> None:
    approval = ask(title="Q-secret")
    assert "Q-secret" not in html(web(bo).get("/approvals/"))
    for verb in ("", "approve", "edit", "reject"):
        assert web(bo).get(url(approval, verb)).status_code == 404


def test_somebody_without_a_project_is_told_so(db: None) -> None:
    client = web(make_user("Solo"))
    for path in ("", "history/", "stats/"):
        assert "member of no project" in html(client.get(f"/approvals/{path}"))
    assert "hidden" in html(client.get("/approvals/badge/"))


@pytest.mark.parametrize("path", ["", "history/", "stats/", "stats/?days=7"])
def test_every_tab_is_a_page_and_a_fragment(ask: Ask, ana: User, path: str) -> None:
    ask()
    page = html(web(ana).get(f"/approvals/{path}"))
    part = html(web(ana).get(f"/approvals/{path}", **HTMX, HTTP_HX_TARGET="facet"))
    assert page.startswith("<!doctype html>")
    assert part.count('id="facet"') == 1
    assert "<html" not in part


def test_a_filter_of_the_history_replaces_the_list_alone(ask: Ask, ana: User) -> None:
    approvals.decide(ask(title="Q-yes"), actor=ana, action="approve")
    approvals.decide(ask(title="Q-no"), actor=ana, action="reject", comment="No.")
    query = "/approvals/history/?status=rejected"
    part = html(web(ana).get(query, **HTMX, HTTP_HX_TARGET="list"))
    assert "Q-no" in part
    assert "Q-yes" not in part
    assert 'id="facet"' not in part


def test_statistics_name_people_and_times(ask: Ask, ana: User) -> None:
    approvals.decide(ask(), actor=ana, action="approve")
    page = html(web(ana).get("/approvals/stats/"))
    assert "Median to decide" in page
    assert f"/approvals/history/?decided_by={ana.pk}" in page
    assert web(ana).get("/approvals/stats/?days=4").status_code == 422


def test_pages_cost_the_same_whatever_the_number_of_rows(ask: Ask, ana: User, ada: User) -> None:
    client = web(ana)

    def cost(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            html(client.get(path))
        return len(queries)

    def more() -> None:
        approvals.decide(ask(quorum=2, requested_by_id=ada.pk), actor=ada, action="approve")
        approvals.decide(ask(requested_by_id=ada.pk), actor=ada, action="approve")

    more()
    cost("/approvals/")
    few = [cost(path) for path in ("/approvals/", "/approvals/history/")]
    for _ in range(8):
        more()
    assert [cost(path) for path in ("/approvals/", "/approvals/history/")] == few
    assert max(few) <= 14


def test_the_rail_counts_what_waits(ask: Ask, ana: User) -> None:
    assert 'id="approvals-badge" hidden' in html(web(ana).get("/approvals/"))
    ask()
    ask()
    assert ">2<" in html(web(ana).get("/runs/"))
    assert ">2<" in html(web(ana).get("/approvals/badge/"))


# The dialogs


def test_approving_by_dialog_tells_the_page(ask: Ask, ana: User) -> None:
    approval = ask()
    form = html(web(ana).get(url(approval, "approve"), **HTMX))
    assert "ops@example.com" in form
    assert approval.shown_sha256 in form
    answer = web(ana).post(url(approval, "approve"), {"comment": "Fine."}, **HTMX)
    events = json.loads(answer.headers["HX-Trigger"])
    assert (answer.status_code, events["toast"]["text"]) == (204, "Approved.")
    assert events["approval-changed"] == {"id": str(approval.pk)}
    assert Approval.objects.get().decisions.get().comment == "Fine."


def test_without_javascript_one_comes_back_to_the_queue(ask: Ask, ana: User) -> None:
    approval = ask(quorum=2)
    assert html(web(ana).get(url(approval, "approve"))).startswith("<!doctype html>")
    answer = web(ana).post(url(approval, "approve"), follow=True)
    assert answer.redirect_chain == [("/approvals/", 302)]
    assert "Approved by you; 1 of 2 so far." in html(answer)


def test_rejecting_by_dialog_asks_why(ask: Ask, ana: User) -> None:
    approval = ask()
    page = html(web(ana).post(url(approval, "reject"), {"comment": " "}, **HTMX), 422)
    assert "aria-invalid" in page
    assert web(ana).post(url(approval, "reject"), {"comment": "No."}, **HTMX).status_code == 204
    assert Approval.objects.get().status == "rejected"


def test_editing_by_dialog_approves_what_was_typed(ask: Ask, ana: User) -> None:
    approval = ask()
    assert "ops@example.com" in html(web(ana).get(url(approval, "edit"), **HTMX))
    for bad in ("{", "[1]", '{"a": NaN}', '{"a": "\\u0000"}'):
        answer = web(ana).post(url(approval, "edit"), {"arguments": bad}, **HTMX)
        assert bad.replace('"', "&quot;") in html(answer, 422)
    web(ana).post(url(approval, "edit"), {"arguments": '{"to": "boss"}'}, **HTMX)
    approval.refresh_from_db()
    assert (approval.status, approval.edited_arguments) == ("approved", {"to": "boss"})


def test_what_another_edited_meanwhile_is_not_approved_unseen(
    ask: Ask, ana: User, ada: User
) -> None:
    approval = ask(quorum=2)
    seen = {"shown_sha256": approval.shown_sha256}
    approvals.decide(approval, actor=ada, action="approve", arguments={"to": "boss"})
    page = html(web(ana).post(url(approval, "approve"), seen, **HTMX), 422)
    assert "edited after you saw them" in page
    assert Approval.objects.get().status == "pending"


def test_what_was_decided_meanwhile_is_said_at_once(ask: Ask, ana: User, ada: User) -> None:
    approval = approvals.decide(ask(), actor=ada, action="approve")
    answer = web(ana).get(url(approval, "approve"), **HTMX)
    assert answer.status_code == 409
    assert "approved already" in answer.headers["HX-Trigger"]
    assert "approved already" in html(web(ana).post(url(approval, "approve"), **HTMX), 422)

"""/approvals by HTTP, to the letter of the contract."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from controlplane.kit.ids import uuid7
from governance.approval_figures import history_like
from governance.models import Approval, ApprovalDecision
from projects.keys import create as create_key
from projects.models import Project
from projects.people import User
from tests.support.cast import Api

pytestmark = pytest.mark.django_db
Ask = Callable[..., Approval]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_an_approval_shows_what_was_asked(ask: Ask, project: Project, ana: User, vic: User) -> None:
    approval = ask(quorum=2, due_seconds=60, requested_by_id=ana.pk, assignees=["operator"])
    answer = Api(vic).get(f"/approvals/{approval.pk}")
    body = answer.json()
    assert body["id"] == str(approval.pk)
    assert (body["project"], body["run"]) == (str(project.pk), str(approval.run_id))
    assert (body["step"], body["status"]) == (str(approval.step_id), "pending")
    assert (body["title"], body["quorum"], body["decisions"]) == ("Send it?", 2, [])
    assert body["arguments"] == {"to": "ops@example.com", "amount": 12.5}
    assert body["due_at"].endswith("Z")
    assert (body["requested_by"], body["requested_arguments"]) == (str(ana.pk), None)
    assert answer.headers["ETag"]


def test_approving_answers_the_approval(ask: Ask, ana: User) -> None:
    answer = Api(ana).post(f"/approvals/{ask().pk}/approve", {"comment": "Fine."})
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "approved")
    word = body["decisions"][0]
    assert (word["by"], word["action"], word["comment"]) == (str(ana.pk), "approve", "Fine.")
    assert word["at"]
    assert body["decided_at"]


def test_approving_needs_no_body(ask: Ask, ana: User) -> None:
    assert Api(ana).post(f"/approvals/{ask().pk}/approve").json()["status"] == "approved"


def test_below_the_quorum_it_is_still_pending(ask: Ask, ana: User, ada: User) -> None:
    url = f"/approvals/{ask(quorum=2).pk}/approve"
    first, again, second = Api(ana).post(url), Api(ana).post(url), Api(ada).post(url)
    assert (first.status_code, first.json()["status"]) == (200, "pending")
    assert (again.status_code, again.json()["code"]) == (409, "decided_by_you")
    assert (second.status_code, second.json()["status"]) == (200, "approved")


def test_rejecting_needs_a_comment(ask: Ask, ana: User) -> None:
    url = f"/approvals/{ask().pk}/reject"
    for body in ({}, {"comment": " "}, {"comment": None}):
        answer = Api(ana).post(url, body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "comment")
    assert Api(ana).post(url, {"comment": "No."}).json()["status"] == "rejected"


def test_what_is_decided_is_409(ask: Ask, ana: User, ada: User) -> None:
    url = f"/approvals/{ask().pk}"
    Api(ana).post(f"{url}/reject", {"comment": "No."})
    for verb, body in (("approve", {}), ("reject", {"comment": "No."})):
        answer = Api(ada).post(f"{url}/{verb}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_edited_arguments_stand_beside_those_asked_for(ask: Ask, ana: User) -> None:
    url = f"/approvals/{ask(arguments={'to': 'a'}).pk}/approve"
    body = Api(ana).post(url, {"arguments": {"to": "b"}}).json()
    assert (body["arguments"], body["requested_arguments"]) == ({"to": "b"}, {"to": "a"})
    assert body["decisions"][0]["arguments"] == {"to": "b"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"arguments": [1]}, "arguments"),
        ({"arguments": 5}, "arguments"),
        ({"comment": "x" * 4001}, "comment"),
        ({"nonsense": 1}, "nonsense"),
        ({"comment": {"a": 1}}, "comment"),
    ],
)
def test_a_bad_body_is_422_and_decides_nothing(
    ask: Ask, ana: User, body: dict[str, Any], field: str
) -> None:
    answer = Api(ana).post(f"/approvals/{ask().pk}/approve", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert not ApprovalDecision.objects.exists()


def test_arguments_where_none_were_asked_for_are_422(ask: Ask, ana: User) -> None:
    answer = Api(ana).post(f"/approvals/{ask(arguments=None).pk}/approve", {"arguments": {}})
    assert answer.status_code == 422


def test_who_may_not_decide_is_403_and_who_may_not_see_404(
    ask: Ask, ana: User, vic: User, bo: User
) -> None:
    url = f"/approvals/{ask(requested_by_id=ana.pk, requester_may_approve=False).pk}/approve"
    assert [Api(user).post(url).status_code for user in (vic, ana, bo, None)] == [
        403, 403, 404, 401,
    ]  # fmt: skip
    # The role is asked before the body is read.
    assert Api(vic).post(url.replace("approve", "reject"), {}).status_code == 403


def test_a_key_that_only_reads_cannot_decide(ask: Ask, project: Project, own: User) -> None:
    approval = ask()
    _, readable = create_key(actor=own, project=project, name="k", scopes=["governance:read"])
    client = Api(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {readable}")
    assert client.get(f"/approvals/{approval.pk}").status_code == 200
    assert client.post(f"/approvals/{approval.pk}/approve").status_code == 403


def test_nobody_asks_by_http(project: Project, own: User) -> None:
    assert Api(own).post("/approvals", {"project": str(project.pk)}).status_code == 405


def test_the_list_is_filtered_and_ordered(ask: Ask, project: Project, ana: User, bo: User) -> None:
    late, soon, never = ask(due_seconds=900), ask(due_seconds=60), ask(title="Pay 100 %?")
    done = ask()
    Api(ana).post(f"/approvals/{done.pk}/approve")
    get = Api(ana).get
    order = [str(row.pk) for row in (soon, late, never)]
    assert ids(get("/approvals", {"status": "pending", "ordering": "due_at"})) == order
    two = ids(get("/approvals?status=approved&status=rejected"))
    assert two == [str(done.pk)]
    assert ids(get("/approvals", {"run": str(late.run_id)})) == [str(late.pk)]
    assert ids(get("/approvals", {"run": str(uuid7())})) == []
    assert ids(get("/approvals", {"search": "100 %"})) == [str(never.pk)]
    assert ids(get("/approvals", {"decided_by": str(ana.pk)})) == [str(done.pk)]
    assert len(ids(get("/approvals", {"project": str(project.pk)}))) == 4
    assert ids(get("/approvals", {"project": str(bo.memberships.get().project_id)})) == []
    assert ids(Api(bo).get("/approvals")) == []
    envelope = get("/approvals", {"page_size": 1}).json()
    assert (envelope["count"], envelope["count_exact"]) == (4, True)
    assert envelope["next"]
    assert "packet" not in envelope["results"][0]


@pytest.mark.parametrize(
    "query", [{"status": "maybe"}, {"run": "1"}, {"ordering": "color"}, {"page": "0"}]
)
def test_bad_values_of_a_list_are_422(ana: User, query: dict[str, str]) -> None:
    assert Api(ana).get("/approvals", query).status_code == 422


def test_a_list_costs_the_same_whatever_its_length(ask: Ask, ana: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ids(Api(ana).get("/approvals"))
        return len(queries)

    Api(ana).post(f"/approvals/{ask(quorum=2, requested_by_id=ana.pk).pk}/approve")
    few = cost()
    for _ in range(12):
        Api(ana).post(f"/approvals/{ask(quorum=2, requested_by_id=ana.pk).pk}/approve")
    assert cost() == few


# Statistics


def decided(ask: Ask, user: User, verb: str, seconds: int) -> Approval:
    approval = ask()
    Approval.objects.filter(pk=approval.pk).update(
        created_at=timezone.now() - timedelta(seconds=seconds)
    )
    body = {"comment": "No."} if verb == "reject" else {}
    assert Api(user).post(f"/approvals/{approval.pk}/{verb}", body).status_code == 200
    return approval


def test_statistics_tell_what_waits_and_who_decides_how_fast(
    ask: Ask, ana: User, ada: User, vic: User
) -> None:
    ask()
    for seconds in (10, 20, 30):
        decided(ask, ana, "approve", seconds)
    decided(ask, ada, "reject", 100)
    found = Api(vic).get("/approvals/stats").json()
    assert (found["waiting"], found["overdue"], found["decided"]) == (1, 0, 4)
    assert (found["approved"], found["rejected"], found["expired"]) == (3, 1, 0)
    assert found["median_seconds"] == pytest.approx(25, abs=3)
    assert found["p95_seconds"] == pytest.approx(89.5, abs=5)
    assert [(row["name"], row["decided"]) for row in found["by_person"]] == [
        ("Ana", 3), ("Ada", 1),
    ]  # fmt: skip
    assert found["by_person"][0]["by"] == str(ana.pk)
    assert found["by_person"][0]["median_seconds"] == pytest.approx(20, abs=3)


def test_statistics_have_a_range(ask: Ask, ana: User) -> None:
    decided(ask, ana, "approve", 5)
    Approval.objects.update(decided_at=timezone.now() - timedelta(days=40))
    ApprovalDecision.objects.update(created_at=timezone.now() - timedelta(days=40))
    assert Api(ana).get("/approvals/stats").json()["decided"] == 0
    since = (timezone.now() - timedelta(days=41)).isoformat()
    found = Api(ana).get("/approvals/stats", {"from": since}).json()
    assert (found["decided"], found["by_person"][0]["decided"]) == (1, 1)


def test_statistics_of_nothing_are_zeros_and_nulls(ana: User) -> None:
    found = Api(ana).get("/approvals/stats").json()
    assert (found["waiting"], found["decided"], found["by_person"]) == (0, 0, [])
    assert found["median_seconds"] is None
    assert found["oldest_waiting_seconds"] is None


def test_a_strangers_statistics_count_nothing(ask: Ask, project: Project, bo: User) -> None:
    ask()
    found = Api(bo).get("/approvals/stats", {"project": str(project.pk)}).json()
    assert found["waiting"] == 0


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"from": "2026-02-01", "to": "2026-01-01"}]
)
def test_bad_ranges_are_422(ana: User, query: dict[str, str]) -> None:
    assert Api(ana).get("/approvals/stats", query).status_code == 422


# How the same was decided before


def test_the_history_of_a_shape_leaves_others_out(ask: Ask, ana: User) -> None:
    asked = ask(shape="a")
    for shape, verb in (("a", "approve"), ("a", "approve"), ("a", "reject"), ("b", "reject")):
        body = {"comment": "No."} if verb == "reject" else {"arguments": {"to": shape}}
        assert Api(ana).post(f"/approvals/{ask(shape=shape).pk}/{verb}", body).status_code == 200
    found = history_like(asked)
    assert (found["approved"], found["rejected"], found["expired"]) == (2, 1, 0)
    assert (found["edited"], found["last_status"]) == (2, "rejected")
    assert found["median_seconds"] < 60


def test_without_a_shape_alike_means_the_same_subject_title_and_arguments(
    ask: Ask, ana: User
) -> None:
    decided(ask, ana, "approve", 5)
    assert history_like(ask(arguments={"to": "b", "amount": 1}))["approved"] == 1
    assert history_like(ask(title="Other?"))["approved"] == 0


def test_a_decided_approval_is_not_its_own_history(ask: Ask, ana: User) -> None:
    assert history_like(decided(ask, ana, "approve", 5)) == {
        "approved": 0,
        "rejected": 0,
        "expired": 0,
        "edited": 0,
        "median_seconds": None,
        "last_status": None,
        "last_at": None,
    }

"""Many people and the clock at one approval at the same time, on real connections."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from controlplane.kit.errors import DomainError
from controlplane.kit.ids import uuid7
from governance import approvals
from governance.models import Approval, ApprovalDecision, AuditEntry
from governance.signals import approval_decided
from projects.models import Project
from projects.people import User
from tests.support.cast import Api, join

pytestmark = pytest.mark.django_db(transaction=True)
Ask = Callable[..., Approval]
MANY = 32


def at_once(work: Callable[[int], Any], many: int = MANY) -> list[Any]:
    """The answers of `many` threads; a refusal answers its code."""

    def one(number: int) -> Any:
        try:
            return work(number)
        except DomainError as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


@pytest.fixture
def people(project: Project) -> list[User]:
    """As many operators as there are threads."""
    return [join(project, f"Op{number}", "operator") for number in range(MANY)]


def test_of_many_approvers_one_decides(ask: Ask, people: list[User], told: list[Approval]) -> None:
    approval = ask()
    codes = at_once(lambda n: approvals.decide(approval, actor=people[n], action="approve").status)
    assert Counter(codes) == {"approved": 1, "already_decided": MANY - 1}
    assert (len(told), ApprovalDecision.objects.count()) == (1, 1)
    assert AuditEntry.objects.filter(action="approval.approved").count() == 1


def test_of_many_approvers_the_quorum_decides(
    ask: Ask, people: list[User], told: list[Approval]
) -> None:
    approval = ask(quorum=5)
    codes = at_once(lambda n: approvals.decide(approval, actor=people[n], action="approve").status)
    assert Counter(codes) == {"pending": 4, "approved": 1, "already_decided": MANY - 5}
    assert (len(told), ApprovalDecision.objects.count()) == (1, 5)


def test_one_person_clicking_many_times_counts_once(
    ask: Ask, ana: User, told: list[Approval]
) -> None:
    approval = ask(quorum=2)
    answers = at_once(lambda _: Api(ana).post(f"/approvals/{approval.pk}/approve").status_code)
    assert Counter(answers) == {200: 1, 409: MANY - 1}
    assert (told, ApprovalDecision.objects.count()) == ([], 1)


def test_approving_rejecting_expiring_and_cancelling_have_one_outcome(
    ask: Ask, people: list[User], told: list[Approval]
) -> None:
    approval = ask(due_seconds=3600)
    late = timezone.now() + timedelta(hours=2)
    verbs: list[Callable[[int], Any]] = [
        lambda n: approvals.decide(approval, actor=people[n], action="approve"),
        lambda n: approvals.decide(approval, actor=people[n], action="reject", comment="No."),
        lambda n: approvals.expire_due(late),
        lambda n: approvals.cancel_for_run(approval.run_id),
    ]
    at_once(lambda n: verbs[n % 4](n))
    approval.refresh_from_db()
    ends = {"approved": 1, "rejected": 1, "expired": 1, "cancelled": 0}
    assert len(told) == ends[approval.status]
    audited = AuditEntry.objects.filter(target_id=str(approval.pk))
    assert audited.exclude(action="approval.requested").count() == 1
    assert ApprovalDecision.objects.count() == (approval.status in ("approved", "rejected"))


def test_a_question_asked_by_many_is_asked_once(ask: Ask) -> None:
    step, run = uuid7(), uuid7()
    found = at_once(lambda _: ask(step_id=step, run_id=run).pk)
    assert len(set(found)) == 1
    assert Approval.objects.count() == 1


def test_different_actions_asked_at_once_leave_one_open(ask: Ask) -> None:
    step, run = uuid7(), uuid7()
    at_once(lambda n: ask(step_id=step, run_id=run, arguments={"n": n}).pk, 8)
    statuses = Counter(Approval.objects.values_list("status", flat=True))
    assert statuses["pending"] == 1
    assert statuses["pending"] + statuses["superseded"] == statuses.total()


def test_taking_back_under_a_lock_of_ones_own_passes_by_what_is_being_decided(
    ask: Ask, ana: User
) -> None:
    approval = ask()
    other = ask(run_id=approval.run_id)
    found: list[Any] = []

    def take_back(**kwargs: Any) -> None:
        # What the engine does when it ends the run in the meantime, on its own connection.
        with ThreadPoolExecutor(1) as pool:
            found.extend(pool.submit(cancel_elsewhere).result(timeout=10))

    def cancel_elsewhere() -> list[Any]:
        try:
            with transaction.atomic():
                return approvals.cancel_for_run(approval.run_id, wait=False)
        finally:
            connection.close()

    approval_decided.connect(take_back, weak=False)
    try:
        approvals.decide(approval, actor=ana, action="approve")
    finally:
        approval_decided.disconnect(take_back)
    assert found == [other.pk]
    assert Approval.objects.get(pk=approval.pk).status == "approved"

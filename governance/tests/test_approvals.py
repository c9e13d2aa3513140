"""Asking and deciding: who may, what counts, what is bound to what."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from controlplane.kit.errors import DomainError, InvalidInput
from controlplane.kit.ids import uuid7
from controlplane.kit.models import Event
from governance import approval_rules as rules
from governance import approvals
from governance.models import Approval, ApprovalDecision, AuditEntry
from governance.signals import approval_decided
from projects.models import Membership, Project
from projects.people import User
from tests.support.cast import join

pytestmark = pytest.mark.django_db
Ask = Callable[..., Approval]


def approve(approval: Approval, actor: User, **more: Any) -> Approval:
    return approvals.decide(approval, actor=actor, action="approve", **more)


def reject(approval: Approval, actor: User, comment: str = "No.", **more: Any) -> Approval:
    return approvals.decide(approval, actor=actor, action="reject", comment=comment, **more)


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(DomainError) as found:
        call()
    return found.value.status, found.value.code


# Asking


def test_the_same_question_is_asked_once(ask: Ask) -> None:
    first = ask(step_id=(step := uuid7()), run_id=(run := uuid7()))
    assert ask(step_id=step, run_id=run).pk == first.pk
    assert Approval.objects.count() == 1


def test_a_decided_question_about_the_same_action_is_not_asked_again(ask: Ask, ana: User) -> None:
    first = ask(step_id=(step := uuid7()), run_id=(run := uuid7()))
    approve(first, ana)
    assert ask(step_id=step, run_id=run).pk == first.pk


def test_another_action_supersedes_the_open_question(ask: Ask, told: list[Approval]) -> None:
    first = ask(step_id=(step := uuid7()), run_id=(run := uuid7()))
    second = ask(step_id=step, run_id=run, arguments={"to": "else@example.com"})
    first.refresh_from_db()
    assert (first.status, second.status, told) == ("superseded", "pending", [])
    assert second.pk != first.pk


def test_another_action_after_a_decision_is_a_new_question(ask: Ask, ana: User) -> None:
    first = ask(step_id=(step := uuid7()), run_id=(run := uuid7()))
    approve(first, ana)
    second = ask(step_id=step, run_id=run, arguments={})
    first.refresh_from_db()
    assert (first.status, second.status) == ("approved", "pending")


def test_going_back_to_an_approved_action_takes_the_open_question_back(ask: Ask, ana: User) -> None:
    first = ask(step_id=(step := uuid7()), run_id=(run := uuid7()))
    approve(first, ana)
    second = ask(step_id=step, run_id=run, arguments={})
    assert ask(step_id=step, run_id=run).pk == first.pk
    assert Approval.objects.get(pk=second.pk).status == "superseded"


def test_several_questions_of_one_step_are_told_apart_by_key(ask: Ask) -> None:
    step, run = uuid7(), uuid7()
    keys = {ask(step_id=step, run_id=run, subject="call", key=k).pk for k in ("1", "2", "1")}
    assert len(keys) == 2


def test_the_hash_covers_title_packet_and_arguments() -> None:
    def of(**change: Any) -> str:
        facts = {"title": "Pay?", "packet": {"a": 1, "b": 2}, "arguments": {"n": 1}}
        return rules.fingerprint(rules.shown(**{**facts, **change}))

    assert of() == of(packet={"b": 2, "a": 1})
    others = {of(title="Pay!"), of(packet={"a": 1}), of(arguments={"n": 2}), of(arguments=None)}
    assert len({of(), *others}) == 5


def test_money_ids_and_times_of_the_packet_become_text(ask: Ask) -> None:
    packet = {"cost": Decimal("0.00420"), "run": uuid7(), "at": timezone.now()}
    kept = Approval.objects.get(pk=ask(packet=packet).pk).packet
    assert kept["cost"] == "0.0042"
    assert kept["run"] == str(packet["run"])


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800", "x" * 1_100_000, float("nan"), 2**70])
def test_what_cannot_be_stored_cannot_be_asked(ask: Ask, bad: Any) -> None:
    with pytest.raises(InvalidInput) as found:
        ask(arguments={"text": bad})
    assert (found.value.code, Approval.objects.count()) == ("not_storable", 0)


def test_a_long_title_is_cut(ask: Ask) -> None:
    assert len(Approval.objects.get(pk=ask(title="t" * 900).pk).title) == 500


def test_asking_writes_an_audit_row(ask: Ask) -> None:
    approval = ask()
    entry = AuditEntry.objects.get(target_id=str(approval.pk))
    assert (entry.action, entry.actor_type) == ("approval.requested", "system")


# Deciding


def test_approving_ends_it_and_is_told_once(ask: Ask, ana: User, told: list[Approval]) -> None:
    approval = approve(ask(), ana, comment=" Fine. ")
    assert (approval.status, approval.decisions.get().comment) == ("approved", "Fine.")
    assert [row.pk for row in told] == [approval.pk]
    assert approval.decided_at >= approval.created_at


def test_rejecting_ends_it_whatever_the_quorum(ask: Ask, ana: User, told: list[Approval]) -> None:
    assert reject(ask(quorum=3), ana).status == "rejected"
    assert len(told) == 1


def test_rejecting_needs_a_comment(ask: Ask, ana: User) -> None:
    with pytest.raises(InvalidInput) as found:
        reject(ask(), ana, comment="  ")
    assert found.value.errors[0].field == "comment"
    assert Approval.objects.get().status == "pending"


def test_below_the_quorum_it_stays_pending(
    ask: Ask, ana: User, ada: User, told: list[Approval]
) -> None:
    approval = approve(ask(quorum=2), ana)
    assert (approval.status, told) == ("pending", [])
    assert approve(approval, ada).status == "approved"
    assert len(told) == 1


def test_the_same_person_counts_once(ask: Ask, ana: User) -> None:
    approval = approve(ask(quorum=2), ana)
    assert code_of(lambda: approve(approval, ana)) == (409, "decided_by_you")
    assert code_of(lambda: reject(approval, ana)) == (409, "decided_by_you")
    assert ApprovalDecision.objects.count() == 1


@pytest.mark.parametrize("decide", [approve, reject])
def test_what_is_decided_stays_so(ask: Ask, ana: User, ada: User, decide: Any) -> None:
    approval = decide(ask(), ana)
    assert code_of(lambda: approve(approval, ada)) == (409, "already_decided")
    assert code_of(lambda: reject(approval, ada)) == (409, "already_decided")


def test_a_viewer_may_not_decide(ask: Ask, vic: User) -> None:
    assert code_of(lambda: approve(ask(), vic)) == (403, "forbidden")


def test_a_stranger_may_not_decide(ask: Ask, bo: User) -> None:
    assert code_of(lambda: approve(ask(), bo)) == (403, "forbidden")


def test_the_role_counts_at_the_moment_of_the_decision(ask: Ask, ana: User) -> None:
    assert ana.project_roles()
    Membership.objects.filter(user=ana).update(role="viewer")
    assert code_of(lambda: approve(ask(), ana)) == (403, "forbidden")


def test_the_requester_may_approve_unless_told_otherwise(ask: Ask, ana: User, ada: User) -> None:
    assert approve(ask(requested_by_id=ana.pk), ana).status == "approved"
    own = ask(requested_by_id=ana.pk, requester_may_approve=False)
    assert code_of(lambda: approve(own, ana)) == (403, "forbidden")
    assert approve(own, ada).status == "approved"


def test_only_those_named_may_decide(ask: Ask, ana: User, ada: User, own: User) -> None:
    by_mail = ask(assignees=[" ADA@example.com "])
    assert code_of(lambda: approve(by_mail, ana)) == (403, "forbidden")
    assert approve(by_mail, ada).status == "approved"
    assert approve(ask(assignees=[str(ana.pk)]), ana).status == "approved"
    by_role = ask(assignees=["admin"])
    assert code_of(lambda: approve(by_role, ana)) == (403, "forbidden")
    assert approve(by_role, own).status == "approved"


def test_edited_arguments_are_what_is_approved(ask: Ask, ana: User) -> None:
    approval = approve(ask(), ana, arguments={"to": "boss@example.com"})
    assert approval.shown_arguments == {"to": "boss@example.com"}
    assert approval.arguments["amount"] == 12.5
    assert approvals.outcome(approval)["arguments"] == {"to": "boss@example.com"}
    assert approval.shown_sha256 != approval.action_sha256


def test_the_same_arguments_are_no_edit(ask: Ask, ana: User) -> None:
    approval = approve(ask(), ana, arguments={"amount": 12.5, "to": "ops@example.com"})
    assert approval.edited_arguments is None


def test_an_edit_asks_those_who_approved_before_once_more(
    ask: Ask, ana: User, ada: User, own: User
) -> None:
    approval = approve(ask(quorum=2), ana)
    assert approve(approval, ada, arguments={"to": "x@example.com"}).status == "pending"
    assert approve(approval, ana).status == "approved"


def test_who_saw_the_earlier_arguments_is_refused(ask: Ask, ana: User, ada: User) -> None:
    approval = ask(quorum=2)
    seen = approval.shown_sha256
    approve(approval, ada, arguments={"to": "x@example.com"})
    assert code_of(lambda: approve(approval, ana, shown_sha256=seen)) == (409, "changed")


def test_arguments_are_edited_only_where_there_are_some(ask: Ask, ana: User) -> None:
    for bare in (ask(arguments=None), ask(arguments=[1])):
        assert code_of(lambda bare=bare: approve(bare, ana, arguments={"a": 1}))[0] == 422
    assert code_of(lambda: approve(ask(), ana, arguments=[1]))[0] == 422
    assert code_of(lambda: reject(ask(), ana, arguments={"a": 1}))[0] == 422
    assert not ApprovalDecision.objects.exists()


def test_edited_arguments_must_fit_the_schema(ask: Ask, ana: User) -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number", "maximum": 100}}}
    approval = ask(arguments_schema=schema)
    with pytest.raises(InvalidInput) as found:
        approve(approval, ana, arguments={"amount": 1000})
    assert found.value.errors[0].field == "arguments.amount"
    assert approve(approval, ana, arguments={"amount": 99}).status == "approved"


def test_a_refusing_receiver_undoes_the_decision(ask: Ask, ana: User) -> None:
    def refuse(**kwargs: Any) -> None:
        raise DomainError("The policy forbids this.", code="policy_denied")

    approval_decided.connect(refuse, weak=False)
    try:
        assert code_of(lambda: approve(ask(), ana)) == (409, "policy_denied")
    finally:
        approval_decided.disconnect(refuse)
    assert Approval.objects.get().status == "pending"
    assert not ApprovalDecision.objects.exists()


def test_every_word_has_its_audit_row(ask: Ask, ana: User, ada: User) -> None:
    approval = approve(approve(ask(quorum=2), ana), ada, comment="Go.")
    rows = AuditEntry.objects.filter(target_id=str(approval.pk)).order_by("id")
    assert [(r.action, r.actor_name) for r in rows] == [
        ("approval.requested", "system"),
        ("approval.voted", "Ana"),
        ("approval.approved", "Ada"),
    ]
    assert rows.last().after["comment"] == "Go."


def test_events_of_a_question_without_a_run_are_written_here(ask: Ask, ana: User) -> None:
    approval = approve(ask(run_id=None, step_id=None, subject="promotion"), ana)
    rows = Event.objects.filter(subject_id=approval.pk).order_by("seq")
    assert [e.type for e in rows] == ["approval.requested", "approval.decided"]
    with_run = approve(ask(), ana)
    assert not Event.objects.filter(subject_id=with_run.pk).exists()


# Before it is done


def test_an_approval_stands_while_its_approvers_may_decide(
    ask: Ask, project: Project, ana: User
) -> None:
    eve = join(project, "Eve", "operator")
    approval = approve(approve(ask(quorum=2), ana), eve)
    assert approvals.still_stands(approval, approval.action_sha256)
    assert not approvals.still_stands(approval, "0" * 64)
    Membership.objects.filter(user=eve).update(role="viewer")
    assert not approvals.still_stands(approval)


def test_what_is_not_approved_does_not_stand(ask: Ask, ana: User) -> None:
    assert not approvals.still_stands(ask())
    assert not approvals.still_stands(reject(ask(), ana))


def test_the_outcome_names_who_had_the_last_word(ask: Ask, ana: User, ada: User) -> None:
    approval = reject(approve(ask(quorum=2), ana), ada, "Too dear.")
    found = approvals.outcome(approval)
    assert (found["approved"], found["by"], found["comment"]) == (False, str(ada.pk), "Too dear.")


# Time


def overdue(approval: Approval) -> Approval:
    Approval.objects.filter(pk=approval.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    return approval


@pytest.mark.parametrize("on_timeout", ["reject", "continue"])
def test_out_of_time_it_expires_and_is_told(
    ask: Ask, told: list[Approval], on_timeout: str
) -> None:
    approval = overdue(ask(due_seconds=60, on_timeout=on_timeout))
    ask(due_seconds=60)
    assert [row.pk for row in approvals.expire_due()] == [approval.pk]
    assert [row.status for row in told] == ["expired"]
    assert approvals.outcome(told[0])["by"] is None
    assert approvals.expire_due() == []


def test_nobody_decides_after_the_time_is_over(ask: Ask, ana: User) -> None:
    approval = overdue(ask(due_seconds=60))
    assert code_of(lambda: approve(approval, ana)) == (409, "expired")


def test_escalating_widens_who_is_asked_and_stays_pending(
    ask: Ask, ada: User, told: list[Approval]
) -> None:
    approval = overdue(ask(due_seconds=60, on_timeout="escalate", assignees=["nobody@example.com"]))
    approvals.expire_due()
    approval.refresh_from_db()
    assert (approval.status, approval.due_at, told) == ("pending", None, [])
    assert approval.assignees == ["nobody@example.com", "admin"]
    assert Event.objects.get(subject_id=approval.pk).type == "approval.escalated"
    assert approve(approval, ada).status == "approved"


def test_an_escalation_may_have_a_time_of_its_own(ask: Ask, told: list[Approval]) -> None:
    plan = {"to": ["own@example.com"], "due_seconds": 600, "on_timeout": "reject"}
    approval = overdue(ask(due_seconds=60, on_timeout="escalate", escalation=plan))
    approvals.expire_due()
    approval.refresh_from_db()
    assert approval.due_at > timezone.now() + timedelta(seconds=500)
    approvals.expire_due(timezone.now() + timedelta(seconds=700))
    assert [row.status for row in told] == ["expired"]


def test_what_is_overdue_and_escalates_can_still_be_decided(ask: Ask, ana: User) -> None:
    approval = overdue(ask(due_seconds=60, on_timeout="escalate"))
    assert approve(approval, ana).status == "approved"


def test_one_that_cannot_be_ended_holds_up_no_other(ask: Ask, told: list[Approval]) -> None:
    bad, good = overdue(ask(due_seconds=60)), overdue(ask(due_seconds=60))

    def refuse(approval: Approval, **kwargs: Any) -> None:
        if approval.pk == bad.pk:
            raise RuntimeError("broken receiver")

    approval_decided.connect(refuse, weak=False)
    try:
        assert [row.pk for row in approvals.expire_due()] == [good.pk]
    finally:
        approval_decided.disconnect(refuse)
    assert Approval.objects.get(pk=bad.pk).is_pending


def test_the_next_due_time_is_known(ask: Ask) -> None:
    assert approvals.next_due() is None
    ask(due_seconds=900)
    soon = ask(due_seconds=60)
    assert approvals.next_due() == soon.due_at


# Taking back


def test_a_run_takes_back_what_it_asked(ask: Ask, ana: User, told: list[Approval]) -> None:
    run = uuid7()
    waits, done = ask(run_id=run), approve(ask(run_id=run), ana)
    other = ask()
    assert approvals.cancel_for_run(run) == [waits.pk]
    statuses = [Approval.objects.get(pk=row.pk).status for row in (waits, done, other)]
    assert statuses == ["cancelled", "approved", "pending"]
    assert len(told) == 1
    assert code_of(lambda: approve(waits, ana)) == (409, "cancelled")


def test_steps_take_back_what_they_asked(ask: Ask) -> None:
    first, second = ask(), ask()
    assert approvals.cancel_for_steps([first.step_id, uuid7()]) == [first.pk]
    assert Approval.objects.get(pk=second.pk).is_pending
    assert AuditEntry.objects.filter(action="approval.cancelled").count() == 1

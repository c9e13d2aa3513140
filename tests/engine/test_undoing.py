"""Calls in doubt that a person has undone by the tool that their tool names."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from controlplane.kit import gate
from controlplane.kit.errors import DomainError
from controlplane.kit.models import Event
from governance.models import AuditEntry
from runs import reconcile
from runs.models import Effect, Run
from runs.reconcile import Word
from tests.engine import functions
from tests.engine.house import House, call, graph
from tests.engine.test_recovery import called, die
from tools.calls import ToolError
from tools.models import ToolCall

UNDO = {"tool": "refund", "arguments": {"name": "undo-${arguments.name}"}}


@pytest.fixture
def paid(house: House, name: str) -> Callable[..., Effect]:
    """`paid(**fields)`: a call in doubt of the tool `pay`, which `refund` undoes."""

    def make(refund: str = "keyed", **fields: Any) -> Effect:
        house.tool("refund", refund, effect_class="idempotent")
        house.tool("pay", "held", effect_undo=UNDO)
        functions.GATES[name] = threading.Event()
        worker = house.worker()
        node = {**call("pay", name=name), **fields}
        run = house.start(graph({"a": node, "b": {}}, "a>b"))
        called(house, name, 1)
        die(worker)
        house.worker()
        house.ticker()
        house.rests(run, "waiting")
        return Effect.objects.unknown().get(run=run)

    return make


def undo(house: House, effect: Effect, **word: Any) -> Effect:
    return reconcile.resolve(effect, Word("compensate", **word), actor=house.user)


def tries(effect: Effect) -> list[Effect]:
    return list(Effect.objects.filter(undoes=effect.pk).order_by("ordinal"))


def test_the_tool_is_called_once_declared_keyed_audited_and_told(
    house: House, name: str, paid
) -> None:
    effect = paid()
    said = undo(house, effect, comment="a double payment")
    assert (said.state, said.resolution) == ("resolved", "compensate")
    run = house.ended(effect.run)
    assert (run.status, run.reason) == ("failed", "compensated")
    [made] = tries(effect)
    assert (made.state, made.result) == ("done", {"key": made.key})
    assert functions.KEYS[f"undo-{name}"] == [made.key]
    call_row = ToolCall.objects.get(run_id=run.pk, idempotency_key=made.key)
    assert (call_row.state, call_row.step_id) == ("succeeded", effect.step_id)
    types = list(Event.objects.filter(subject_id=run.pk).values_list("type", flat=True))
    assert types.index("effect.undoing") < types.index("effect.resolved")
    actions = AuditEntry.objects.filter(target_id=str(run.pk)).order_by("id")
    assert list(actions.values_list("action", flat=True))[-2:] == ["run.undoing", "run.reconciled"]
    assert actions.last().after["undone_by"] == "refund"


def test_an_undone_step_may_be_handled_like_any_failure(house: House, paid) -> None:
    effect = paid(on_error="continue")
    undo(house, effect)
    assert house.ended(effect.run).status == "succeeded"


@pytest.mark.parametrize(("fate", "state"), [("answered", "failed"), ("unknown", "unknown")])
def test_where_undoing_fails_that_is_said_and_the_call_stays_in_doubt(
    house: House, name: str, paid, monkeypatch: pytest.MonkeyPatch, fate: Any, state: str
) -> None:
    effect = paid()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ToolError("The bank is closed.", code="closed", fate=fate)

    with monkeypatch.context() as patched:
        patched.setattr("runs.undoing.call_now", broken)
        with pytest.raises(DomainError) as refused:
            undo(house, effect)
    assert (refused.value.code, refused.value.status) == ("undo_failed", 409)
    assert "The bank is closed." in refused.value.message
    effect.refresh_from_db()
    assert effect.is_open
    assert [(made.state, made.result["error"]["code"]) for made in tries(effect)] == [
        (state, "closed")
    ]
    assert Effect.objects.unknown().filter(run=effect.run).count() == 1
    house.check([effect.run_id])
    undo(house, effect)
    assert house.ended(effect.run).reason == "compensated"
    assert len({made.key for made in tries(effect)}) == 1
    assert "unknown" not in {made.state for made in tries(effect)}
    house.check([effect.run_id])


def test_of_32_people_who_undo_it_one_does(house: House, name: str, paid) -> None:
    effect = paid()

    def one(number: int) -> str:
        try:
            return undo(house, effect).resolution
        except DomainError as exc:
            return exc.code
        finally:
            house.close()

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(one, range(32)))
    assert answers.count("compensate") == 1
    assert set(answers) <= {"compensate", "undo_under_way", "already_resolved"}
    assert functions.CALLS[f"undo-{name}"] == 1
    house.ended(effect.run)


def test_no_other_word_counts_while_it_is_being_undone_and_a_dead_try_is_taken_up(
    house: House, name: str, paid
) -> None:
    effect = paid("held")
    functions.GATES[f"undo-{name}"] = gate = threading.Event()

    def one() -> str:
        try:
            return undo(house, effect).resolution
        except DomainError as exc:
            return exc.code
        finally:
            house.close()

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(one)]
        called(house, f"undo-{name}", 1)
        with pytest.raises(DomainError) as refused:
            reconcile.resolve(effect, Word("done", output={}), actor=house.user)
        assert refused.value.code == "undo_under_way"
        # As if the process of that try had died long ago.
        before = timezone.now() - timedelta(hours=1)
        Effect.objects.filter(undoes=effect.pk).update(created_at=before)
        answers.append(pool.submit(one))
        called(house, f"undo-{name}", 2)
        gate.set()
    assert {answer.result() for answer in answers} == {"compensate", "already_resolved"}
    assert len(set(functions.KEYS[f"undo-{name}"])) == 1
    assert house.ended(effect.run).reason == "compensated"


def test_by_hand_nothing_is_called(house: House, name: str, paid) -> None:
    effect = paid()
    undo(house, effect, by_hand=True)
    assert house.ended(effect.run).reason == "compensated"
    assert functions.CALLS[f"undo-{name}"] == 0


def test_a_policy_or_a_missing_tool_leaves_the_call_in_doubt(
    house: House, paid, monkeypatch: pytest.MonkeyPatch
) -> None:
    effect = paid()
    deny = gate.Verdict("deny", "policy_denied", "No refunds today.")
    with monkeypatch.context() as patched:
        patched.setattr("runs.undoing.gate.check", lambda *args: deny)
        with pytest.raises(DomainError) as refused:
            undo(house, effect)
    assert (refused.value.code, tries(effect)) == ("policy_denied", [])
    house.project.tools.filter(slug="refund").update(status="inactive")
    with pytest.raises(DomainError) as refused:
        undo(house, effect)
    assert refused.value.code == "undo_failed"
    assert Run.objects.get(pk=effect.run_id).status == "waiting"

"""A run done again: from its failed step, a node or the start."""

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.kit.errors import DomainError, InvalidInput, InvalidTransition
from governance.models import AuditEntry
from runs import services
from runs.models import Run
from tests.engine import functions
from tests.engine.house import House, call, chain, graph

SLOW = {"max_attempts": 3, "backoff_seconds": 60}


def cancel(house: House, run: Run, reason: str = "") -> Run:
    return services.cancel(run, actor=house.user, reason=reason)


def audited(run: Run, action: str) -> int:
    return AuditEntry.objects.filter(action=action, target_id=str(run.pk)).count()


@pytest.fixture
def broken(house: House, name: str) -> Callable[[], Run]:
    """A run whose step `bad` failed once; its other steps counted their calls."""

    def made() -> Run:
        house.tool("first", "counted")
        house.tool("bad", "counted")
        return house.run(
            graph(
                {
                    "a": call("first", name=f"{name}-a"),
                    "skip": {},
                    "bad": call("bad", name=f"{name}-bad", failures=1, retryable=False),
                    "z": {"kind": "transform", "set": {"n": "${steps.a.output.n}"}},
                },
                "a>skip:1 > 2",
                "a>bad",
                "bad>z",
                output={"n": "${steps.z.output.n}"},
            ),
            tags=["t"],
            priority=3,
        )

    return made


def test_a_retry_goes_on_from_the_failed_step(
    house: House, name: str, broken: Callable[[], Run]
) -> None:
    run = broken()
    new = services.retry(run, actor=house.user)[0]
    assert (new.parent_id, new.relation, new.root_id) == (run.pk, "retry", run.pk)
    assert (new.tags, new.priority) == (["t"], 3)
    new = house.ended(new)
    assert (new.status, new.output) == ("succeeded", {"n": 1})
    assert (functions.CALLS[f"{name}-a"], functions.CALLS[f"{name}-bad"]) == (1, 2)
    kept = house.steps(new)["a"]
    assert (kept.status, kept.attempt, kept.cost) == ("succeeded", 0, None)
    assert house.statuses(new)["skip"] == "skipped"
    assert audited(run, "run.retried") == 1
    assert len(set(functions.KEYS[f"{name}-bad"])) == 1


def test_a_retry_from_the_start_takes_another_input(
    house: House, name: str, broken: Callable[[], Run]
) -> None:
    new = house.ended(
        services.retry(broken(), actor=house.user, start_from="start", input={"other": 1})[0]
    )
    assert (new.input, new.output) == ({"other": 1}, {"n": 2})
    assert functions.CALLS[f"{name}-a"] == 2


def test_a_retry_from_a_step_does_it_and_what_follows_again(
    house: House, name: str, broken: Callable[[], Run]
) -> None:
    new = house.ended(services.retry(broken(), actor=house.user, start_from="a")[0])
    assert new.status == "succeeded"
    assert functions.CALLS[f"{name}-a"] == 2


def test_a_retry_from_a_step_does_failed_steps_elsewhere_again_too(house: House, name: str) -> None:
    house.tool("bad", "counted")
    bad = call("bad", name=name, failures=1, retryable=False)
    run = house.run(graph({"wait": call("sleep", seconds=0.3), "bad": bad, "z": {}}, "bad>z"))
    assert run.status == "failed"
    new = house.ended(services.retry(run, actor=house.user, start_from="wait")[0])
    assert set(house.statuses(new).values()) == {"succeeded"}


def test_a_retry_from_a_skipped_step_is_refused(house: House, broken: Callable[[], Run]) -> None:
    with pytest.raises(InvalidInput):
        services.retry(broken(), actor=house.user, start_from="skip")


def test_a_retry_of_a_retry_keeps_the_branches_as_they_were_decided(
    house: House, name: str
) -> None:
    house.tool("bad", "counted")
    definition = graph(
        {
            "d": {
                "kind": "decision",
                "cases": [{"when": "true", "to": "x"}],
                "default": "y",
            },
            "x": {},
            "bad": call("bad", name=name, failures=2, retryable=False),
            "y": {},
        },
        "d>x",
        "d>y",
        "bad>y:false",
    )
    run = house.run(definition)
    for _ in range(2):
        run = house.ended(services.retry(run, actor=house.user)[0])
    assert (run.status, house.statuses(run)["y"]) == ("succeeded", "skipped")


def test_what_cannot_be_retried_says_so(house: House, broken: Callable[[], Run]) -> None:
    run = broken()
    with pytest.raises(InvalidInput):
        services.retry(run, actor=house.user, start_from="failed", input={})
    with pytest.raises(InvalidInput):
        services.retry(run, actor=house.user, start_from="nowhere")
    good = house.run(chain(1))
    with pytest.raises(DomainError) as refused:
        services.retry(good, actor=house.user)
    assert refused.value.code == "nothing_failed"
    with pytest.raises(InvalidTransition):
        services.retry(house.start(graph({"a": call("sleep", seconds=0.3)})), actor=house.user)


def test_a_retry_that_has_not_ended_is_not_made_twice(
    house: House, broken: Callable[[], Run]
) -> None:
    run = broken()
    house.workers[0].stop()
    first, is_first = services.retry(run, actor=house.user)
    again, is_second = services.retry(run, actor=house.user)
    other, is_other = services.retry(run, actor=house.user, start_from="start")
    assert (first.pk == again.pk, is_first, is_second) == (True, True, False)
    assert (other.pk != first.pk, is_other) == (True, True)


def test_a_key_makes_one_retry_even_after_its_end(house: House, broken: Callable[[], Run]) -> None:
    run = broken()
    first, _ = services.retry(run, actor=house.user, idempotency_key="again")
    house.ended(first)
    again, is_new = services.retry(run, actor=house.user, idempotency_key="again")
    assert (first.pk, is_new) == (again.pk, False)
    with pytest.raises(InvalidInput):
        services.retry(run, actor=house.user, start_from="start", idempotency_key="again")


def test_a_retry_keeps_the_agent_that_replaced_others(
    house: House, make_agent: Callable[..., Any]
) -> None:
    make_agent(slug="usual")
    stand_in = make_agent(slug="stand-in")
    definition = graph({"a": {"kind": "agent", "agent": "usual", "prompt": "hello"}})
    run = house.run(definition, agent=stand_in)
    assert run.status == "failed"
    new, _ = services.retry(run, actor=house.user)
    assert new.pins["agents"]["usual"]["agent"] == str(stand_in.pk)
    assert house.ended(new).status == "failed"


def test_a_retry_of_a_call_of_unknown_fate_is_refused(house: House, name: str) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("counted", name=name, failures=1, fate="unknown")}))
    cancel(house, house.rests(run, "waiting"))
    with pytest.raises(DomainError) as refused:
        services.retry(Run.objects.get(pk=run.pk), actor=house.user)
    assert refused.value.code == "unresolved_effect"

"""Steps that fail, are repeated, take too long, or answer with what cannot be stored."""

import pytest

from runs.models import Attempt, Effect, Run
from tests.engine import functions
from tests.engine.house import House, call, chain, graph

QUICK = {"max_attempts": 3, "backoff_seconds": 0.01}


def test_a_flaky_step_is_repeated_and_its_attempts_are_kept(house: House, name: str) -> None:
    run = house.run(graph({"a": call("counted_read", name=name, failures=2, retry=QUICK)}))
    step = house.steps(run)["a"]
    assert (run.status, step.attempt, step.output["n"]) == ("succeeded", 3, 3)
    kept = list(Attempt.objects.filter(step=step).order_by("n").values_list("n", "status"))
    assert kept == [(1, "failed"), (2, "failed")]
    assert [e for e in house.events(run) if e[0] in ("step.retrying", "run.waiting")] == [
        ("step.retrying", "a"),
        ("run.waiting", None),
    ] * 2


def test_a_step_fails_when_its_attempts_are_used_up(house: House, name: str) -> None:
    run = house.run(graph({"a": call("counted_read", name=name, failures=9, retry=QUICK)}))
    assert (run.status, run.reason, run.error["message"]) == ("failed", "flaky", "failure 3")
    assert run.error["node"] == "a"
    assert functions.CALLS[name] == 3


def test_a_failure_that_no_repetition_cures_is_not_repeated(house: House, name: str) -> None:
    house.run(
        graph({"a": call("counted_read", name=name, failures=9, retryable=False, retry=QUICK)})
    )
    assert functions.CALLS[name] == 1


def test_what_the_other_side_asks_to_wait_is_waited(house: House, name: str) -> None:
    run = house.run(
        graph({"a": call("counted_read", name=name, failures=1, retry_after=0.4, retry=QUICK)})
    )
    first = Attempt.objects.get(step__run=run)
    step = house.steps(run)["a"]
    assert (step.leased_at - first.ended_at).total_seconds() >= 0.4


def test_a_wait_beyond_all_bounds_is_cut(house: House, name: str) -> None:
    house.worker()
    run = house.start(
        graph({"a": call("counted_read", name=name, failures=1, retry_after=1e18, retry=QUICK)})
    )
    step = house.stands(run, "a", "waiting")
    assert (step.reason, (step.wake_at - step.started_at).days <= 1) == ("backoff", True)


@pytest.mark.parametrize("tool", ["held_io_read", "held_read"])
def test_a_step_that_takes_too_long_fails(house: House, name: str, gate, tool: str) -> None:
    run = house.run(graph({"a": call(tool, name=name, timeout_seconds=0.2)}))
    step = house.steps(run)["a"]
    assert (run.status, step.status, step.reason) == ("failed", "failed", "timeout")
    assert 150 < step.duration_ms < 3_000


def test_what_a_thread_does_after_its_time_changes_nothing(house: House, name: str, gate) -> None:
    definition = graph(
        {
            "late": call("held_read", name=name, timeout_seconds=0.2, on_error="continue"),
            "long": call("sleep", seconds=1.5),
            "after": {},
        },
        "late>after",
    )
    worker = house.worker(threads=2)
    house.ticker()
    run = house.start(definition)
    house.stands(run, "after", "succeeded")
    assert worker.engine.slots.free["cpu"] == 1
    gate.set()
    run = house.ended(run)
    assert house.statuses(run) == {"late": "failed", "long": "succeeded", "after": "succeeded"}
    house.until(lambda: worker.engine.slots.free == worker.engine.slots.size, 3, "slots leaked")


def test_after_a_failure_that_is_borne_the_run_goes_on(house: House) -> None:
    run = house.run(
        graph(
            {
                "a": call("fail", message="no", retryable=False, on_error="continue"),
                "b": {
                    "kind": "transform",
                    "set": {"o": "${steps.a.output}", "e": "${steps.a.error.message}"},
                },
            },
            "a>b:steps.a.status == 'failed'",
        )
    )
    assert (run.status, house.statuses(run)["a"]) == ("succeeded", "failed")
    assert house.steps(run)["b"].output == {"o": None, "e": "no"}


def test_a_failure_may_lead_elsewhere_and_only_there(house: House) -> None:
    definition = graph(
        {
            "a": call("fail", retryable=False, on_error="rescue"),
            "usual": {},
            "rescue": {},
        },
        "a>usual",
    )
    run = house.run(definition)
    assert run.status == "succeeded"
    assert house.statuses(run) == {"a": "failed", "usual": "skipped", "rescue": "succeeded"}
    definition["nodes"][0] = {"id": "a", **call("noop", on_error="rescue")}
    run = house.run(definition)
    assert house.statuses(run) == {"a": "succeeded", "usual": "succeeded", "rescue": "skipped"}


def test_a_failure_ends_the_run_after_its_other_branches_are_cancelled(
    house: House, name: str, gate
) -> None:
    run = house.run(
        graph(
            {
                "bad": call("sleep", seconds=0.05),
                "worse": call("fail", retryable=False),
                "other": call("held_io_read", name=name),
                "next": {},
            },
            "bad>worse",
            "other>next",
        )
    )
    assert (run.status, run.reason, run.error["node"]) == ("failed", "failed", "worse")
    assert house.statuses(run) == {
        "bad": "succeeded",
        "worse": "failed",
        "other": "cancelled",
        "next": "cancelled",
    }


def test_a_step_about_to_be_repeated_is_given_up_when_the_run_fails(
    house: House, name: str
) -> None:
    slow = {"max_attempts": 3, "backoff_seconds": 60}
    run = house.run(
        graph(
            {
                "again": call("counted_read", name=name, failures=9, retry=slow, retry_after=60),
                "wait": call("sleep", seconds=0.3),
                "bad": call("fail", retryable=False),
            },
            "wait>bad",
        )
    )
    assert (run.status, house.statuses(run)["again"]) == ("failed", "cancelled")


@pytest.mark.parametrize("order", [("again", "bad"), ("bad", "again")])
def test_a_repetition_and_a_failure_in_one_commit_leave_nothing_waiting(
    house: House, order: tuple[str, str]
) -> None:
    slow = {"max_attempts": 3, "backoff_seconds": 60}
    nodes = {
        "again": call("fail", retryable=True, retry=slow),
        "bad": call("fail", retryable=False),
    }
    run = house.run(graph({node: nodes[node] for node in order}))
    assert (run.status, house.statuses(run)["bad"]) == ("failed", "failed")


@pytest.mark.parametrize("what", ["nul", "nan", "infinity", "surrogate", "big", "set", "large"])
def test_an_answer_that_cannot_be_stored_fails_its_step(house: House, what: str) -> None:
    run = house.run(graph({"a": call("odd", what=what), "b": {}}, "a>b"))
    assert (run.status, run.reason) == ("failed", "output_not_storable")
    assert house.statuses(run) == {"a": "failed", "b": "cancelled"}


def test_an_error_that_cannot_be_stored_is_kept_in_clean_words(house: House) -> None:
    run = house.run(graph({"a": call("odd_error")}))
    assert (run.reason, run.error["message"]) == ("odd", "bad � � word")


def test_arguments_that_fail_the_schema_name_the_place(house: House) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    house.tool("strict", "echo", input_schema=schema)
    run = house.run(graph({"a": call("strict", n="many")}))
    assert run.reason == "input_invalid"
    assert house.steps(run)["a"].error["details"]["errors"][0]["field"] == "arguments.n"


def test_one_end_that_the_database_refuses_spoils_no_other_of_its_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("runs.work.problem", "tools.calling.storable.problem"):
        monkeypatch.setattr(place, lambda value, most: None)
    bad = [house.start(graph({"a": call("odd", what="nul"), "b": {}}, "a>b")) for _ in range(3)]
    good = [house.start(chain(3)) for _ in range(5)]
    worker = house.worker()
    house.ticker()
    house.ended(*bad, *good)
    assert {r.reason for r in Run.objects.filter(pk__in=[r.pk for r in bad])} == {
        "output_not_storable"
    }
    assert {r.status for r in Run.objects.filter(pk__in=[r.pk for r in good])} == {"succeeded"}
    assert worker.engine.slots.free == worker.engine.slots.size


# Effects


def test_an_effect_is_declared_before_and_done_after_its_call(house: House, name: str) -> None:
    run = house.run(graph({"a": call("counted", name=name)}))
    effect = Effect.objects.get(run=run)
    assert (effect.state, effect.result) == ("done", {"n": 1, "name": name})
    assert functions.KEYS[name] == [effect.key]


def test_a_refused_call_leaves_no_effect_and_keeps_its_key(house: House, name: str) -> None:
    run = house.run(graph({"a": call("counted", name=name, failures=2, retry=QUICK)}))
    assert Effect.objects.filter(run=run).values_list("state", flat=True).get() == "done"
    assert len(functions.KEYS[name]) == 3
    assert len(set(functions.KEYS[name])) == 1


def test_an_unsafe_call_of_unknown_fate_waits_for_a_person(house: House, name: str) -> None:
    house.worker()
    house.ticker()
    run = house.start(
        graph({"a": call("counted", name=name, failures=1, fate="unknown", retry=QUICK)})
    )
    run = house.rests(run, "waiting")
    step = house.steps(run)["a"]
    assert (step.status, step.reason) == ("waiting", "reconcile")
    assert Effect.objects.get(run=run).state == "unknown"
    assert functions.CALLS[name] == 1
    house.check([run.pk])


def test_an_idempotent_call_of_unknown_fate_is_made_again_with_its_key(
    house: House, name: str
) -> None:
    house.tool("booking", "counted", effect_class="idempotent")
    run = house.run(
        graph({"a": call("booking", name=name, failures=1, fate="unknown", retry=QUICK)})
    )
    assert run.status == "succeeded"
    assert len(functions.KEYS[name]) == 2
    assert len(set(functions.KEYS[name])) == 1


@pytest.mark.parametrize("tool", ["held", "held_io"])
def test_an_unsafe_call_that_takes_too_long_waits_for_a_person(
    house: House, name: str, gate, tool: str
) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call(tool, name=name, timeout_seconds=0.2)}))
    run = house.rests(run, "waiting")
    assert house.steps(run)["a"].reason == "reconcile"
    assert Effect.objects.get(run=run).state == "unknown"
    house.check([run.pk])


def test_a_late_call_that_happened_after_all_needs_no_person(house: House, name: str, gate) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": call("held", name=name, timeout_seconds=0.2), "b": {}}, "a>b"))
    house.rests(run, "waiting")
    gate.set()
    run = house.ended(run)
    assert (run.status, functions.CALLS[name]) == ("succeeded", 1)
    assert house.steps(run)["a"].output == {"done": True}

"""Other runs from a step of a run: what is copied, what is done again, under which keys."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from controlplane.kit.errors import InvalidInput
from governance.models import AuditEntry
from runs import services
from runs.models import Run
from tests.engine import functions
from tests.engine.house import House, call, chain, graph

THREADS = 32


def line(house: House, name: str) -> dict:
    """Three calls in a row, each counted by its own name, then their sum."""
    house.tool("book", "held", effect_class="idempotent")
    functions.GATES.setdefault(name, functions.threading.Event()).set()
    nodes = {
        "a": call("counted", name=f"{name}-a"),
        "b": call("book", name=name),
        "c": {"kind": "transform", "set": {"a": "${steps.a.output.n}", "x": "${input.x}"}},
    }
    return graph(nodes, "a>b", "b>c", output={"c": "${steps.c.output}"})


def fork(house: House, run: Run, start_from: str, **more: object) -> Run:
    return services.fork(run, actor=house.user, start_from=start_from, **more)[0]


def test_a_fork_copies_what_lies_before_and_calls_the_rest_under_new_keys(
    house: House, name: str, gate
) -> None:
    run = house.run(line(house, name), input={"x": 1})
    new = house.ended(fork(house, run, "b", input={"x": 2}))
    assert (new.status, new.relation, new.parent_id) == ("succeeded", "fork", run.pk)
    assert new.output == {"c": {"a": 1, "x": 2}}
    assert (functions.CALLS[f"{name}-a"], functions.CALLS[name]) == (1, 2)
    assert len(set(functions.KEYS[name])) == 2
    copied = house.steps(new)["a"]
    assert (copied.attempt, copied.cost, copied.output["n"]) == (0, None, 1)
    audited = AuditEntry.objects.get(action="run.forked", target_id=str(run.pk))
    assert audited.after == {"from": "b", "new_run": str(new.pk)}


def test_forks_of_forks_and_retries_of_forks_go_on(house: House, name: str) -> None:
    definition = graph(
        {
            "a": call("counted", name=f"{name}-a"),
            "b": {"kind": "decision", "cases": [{"when": "true", "to": "c"}], "default": "d"},
            "c": call("counted_read", name=name, failures="${input.failures}"),
            "d": {},
        },
        "a>b", "b>c", "b>d",
    )  # fmt: skip
    run = house.run(definition, input={"failures": 0})
    one = house.ended(fork(house, run, "c", input={"failures": 9}))
    assert one.status == "failed"
    two = house.ended(fork(house, one, "c", input={"failures": 0}))
    assert (two.status, house.statuses(two)["d"]) == ("succeeded", "skipped")
    again = house.ended(services.retry(one, actor=house.user)[0])
    assert (again.status, again.parent_id) == ("failed", one.pk)
    assert functions.CALLS[f"{name}-a"] == 1


def test_a_retry_of_what_failed_keeps_its_keys_and_one_on_purpose_does_not(
    house: House, name: str
) -> None:
    house.tool("book", "counted", effect_class="idempotent")
    definition = graph({"a": call("book", name=name), "b": call("fail", retryable=False)}, "a>b")
    run = house.run(definition)
    house.ended(services.retry(run, actor=house.user)[0])
    house.ended(services.retry(run, actor=house.user, start_from="a")[0])
    assert len(functions.KEYS[name]) == len(set(functions.KEYS[name])) == 2
    flaky = graph({"a": call("book", name=f"{name}-f", failures=1)})
    run = house.run(flaky)
    house.ended(services.retry(run, actor=house.user)[0])
    assert len(functions.KEYS[f"{name}-f"]) == 2
    assert len(set(functions.KEYS[f"{name}-f"])) == 1


def test_a_live_run_is_forked_without_what_is_still_open(house: House, name: str, gate) -> None:
    house.worker()
    definition = graph({"a": call("counted", name=f"{name}-a"), "b": call("held_read", name=name)},
                       "a>b")  # fmt: skip
    run = house.start(definition)
    house.stands(run, "b", "running")
    new = fork(house, run, "b")
    gate.set()
    house.ended(run, new)
    assert functions.CALLS[f"{name}-a"] == 1


@pytest.mark.parametrize(
    ("start_from", "code"), [("nonsense", "does_not_exist"), ("d", "skipped"), ("c", "skipped")]
)
def test_nobody_forks_from_what_was_not_done(house: House, start_from: str, code: str) -> None:
    definition = graph(
        {"a": {"kind": "decision", "cases": [], "default": None}, "c": {}, "d": {}}, "a>c", "c>d"
    )
    run = house.run(definition)
    with pytest.raises(InvalidInput) as refused:
        fork(house, run, start_from)
    assert refused.value.errors[0].code == code


def test_the_input_of_a_fork_is_checked(house: House) -> None:
    schema = {"type": "object", "required": ["x"]}
    run = house.run({**chain(2), "input_schema": schema}, input={"x": 1})
    with pytest.raises(InvalidInput):
        fork(house, run, "s1", input={})


def test_of_32_forks_at_once_one_is_made(house: House, name: str, gate) -> None:
    house.worker()
    run = house.run(graph({"a": call("held_read", name=name, seconds=0)}))
    functions.CALLS[name] = 0

    def one(_: int) -> tuple[str, bool]:
        try:
            new, is_new = services.fork(run, actor=house.user, start_from="a", input={"slow": 1})
            return str(new.pk), is_new
        finally:
            house.close()

    for worker in house.workers:
        worker.engine.may_claim = False
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(one, range(THREADS)))
    assert len({run_id for run_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    for worker in house.workers:
        worker.engine.may_claim = True
    gate.set()
    house.ended(Run.objects.get(pk=answers[0][0]))

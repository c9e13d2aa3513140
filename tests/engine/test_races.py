"""One verb by 32 hands at once on one run: one effect, whatever the others are told."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from controlplane.kit.errors import DomainError
from governance import approvals
from governance.models import Approval, AuditEntry
from projects.models import Membership
from projects.people import User
from runs import messages, services
from runs.models import Run, Step
from tests.engine.house import House, chain, graph
from tests.support.cast import make_user

THREADS = 32
FORM = {"kind": "form", "title": "Size?", "schema": {"type": "object"}}


def at_once(work: Callable[[int], object]) -> list[object]:
    """What each of 32 threads got, or the code of its refusal."""
    barrier = threading.Barrier(THREADS)

    def one(number: int) -> object:
        barrier.wait(10)
        try:
            return work(number)
        except DomainError as exc:
            return exc.code
        finally:
            House.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def audited(run: Run, action: str) -> int:
    return AuditEntry.objects.filter(action=action, target_id=str(run.pk)).count()


def test_32_threads_resume_a_run_once(house: House) -> None:
    run = house.start(chain(2))
    services.pause(run, actor=house.user)
    found = at_once(lambda _: services.resume(run, actor=house.user).status)
    assert sorted(map(str, found)) == ["not_paused"] * (THREADS - 1) + ["queued"]
    assert audited(run, "run.resumed") == 1
    assert house.events(run).count(("run.resumed", None)) == 1
    house.worker()
    assert house.ended(run).status == "succeeded"


def test_pausing_and_resuming_at_once_leaves_one_state_and_a_true_history(house: House) -> None:
    run = house.start(chain(2))
    verbs = (services.pause, services.resume)
    at_once(lambda number: verbs[number % 2](run, actor=house.user).status)
    told = [event for event, _ in house.events(run) if event in ("run.paused", "run.resumed")]
    # Each change tells of one; twice the same state in a row would be a lie.
    assert told == ["run.paused", "run.resumed"] * (len(told) // 2) + ["run.paused"] * (
        len(told) % 2
    )
    assert audited(run, "run.paused") == told.count("run.paused")
    if Run.objects.get(pk=run.pk).status == "paused":
        services.resume(run, actor=house.user)
    house.worker()
    house.ended(run)


def test_of_32_answers_to_a_form_one_counts(house: House) -> None:
    house.worker()
    house.ticker()
    run = house.start(graph({"a": FORM}, output={"said": "${steps.a.output.n}"}))
    step = house.stands(run, "a", "waiting")
    found = at_once(lambda n: messages.answer(run, step, {"n": n}, actor=house.user))
    assert found.count(None) == 1
    run = house.ended(run)
    assert run.output == {"said": found.index(None)}
    assert audited(run, "run.answered") == 1
    assert house.events(run).count(("step.succeeded", "a")) == 1


def test_of_32_decisions_on_a_step_one_counts_and_the_run_goes_on_once(house: House) -> None:
    people: list[User] = []
    for number in range(THREADS):
        person = make_user("P", email=f"p{number}-{house.project.slug}@example.com")
        Membership.objects.create(project=house.project, user=person, role="operator")
        people.append(person)
    house.worker()
    house.ticker()
    node = {"kind": "approval", "title": "Ship?", "quorum": 1}
    run = house.start(graph({"a": node, "b": {}}, "a>b:steps.a.output.approved"))
    step = house.stands(run, "a", "waiting")
    asked = Approval.objects.get(pk=step.approval_id)

    def decide(number: int) -> str:
        action = "approve" if number % 2 else "reject"
        approvals.decide(asked, actor=people[number], action=action, comment="x")
        return action

    found = at_once(decide)
    told = [word for word in found if word in ("approve", "reject")]
    assert len(told) == 1
    run = house.ended(run)
    assert house.steps(run)["a"].output["approved"] is (told == ["approve"])
    assert house.events(run).count(("step.succeeded", "a")) == 1
    assert [e for e, _ in house.events(run)].count("approval.decided") == 1
    assert Step.objects.filter(run=run, node="a").get().attempt == 1

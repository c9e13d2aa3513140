"""What a worker remembers, against what the database says."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from controlplane.kit.database import conninfo
from runs.facts import Facts, LoadedFrontier, Memory
from runs.models import Run, Step
from tests.engine.house import House, chain


@pytest.fixture
def conn(committed: None):
    with psycopg.connect(conninfo(), autocommit=True) as conn:
        yield conn


def test_the_oldest_is_forgotten_first() -> None:
    memory: Memory[str, int] = Memory(2)
    for key in "ab":
        memory.put(key, 1)
    memory.get("a")
    memory.put("c", 1)
    assert [memory.get(key) for key in "abc"] == [None, 1, 1]
    memory.drop("a")
    memory.drop("never there")
    assert memory.get("a") is None


def test_a_step_that_has_not_ended_is_asked_for_again(house: House, conn) -> None:
    run = house.start(chain(2))
    facts = Facts()

    def seen() -> dict[str, Any]:
        return dict(facts.context(conn, run.pk, "", ["s0"])["steps"]["s0"])

    assert seen()["status"] == "ready"
    Step.objects.filter(run=run, node="s0").update(status="succeeded", output={"n": 1})
    assert seen()["output"] == {"n": 1}
    Step.objects.filter(run=run, node="s0").update(output={"n": 2})
    assert seen()["output"] == {"n": 1}


def test_a_run_that_is_gone_is_said_to_be(conn) -> None:
    with pytest.raises(LookupError):
        Facts().run(conn, uuid4())


def test_a_refused_decision_spoils_no_memory(house: House, conn) -> None:
    run = house.start(chain(2))
    known = LoadedFrontier(conn, Facts())
    known.read_whole([run.pk])
    frontier = LoadedFrontier(conn, Facts(), known.known)
    key = (run.pk, "", "s1")
    frontier.get([key])[key].status = "ready"
    assert known.known.steps[key].status == "pending"
    frontier.keep()
    assert known.known.steps[key].status == "ready"
    assert Run.objects.get(pk=run.pk).status == "queued"

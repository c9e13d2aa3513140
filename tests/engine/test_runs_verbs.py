"""The verbs of runs to the letter of the contract, against real processes."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.shapes import RUN, problem
from tests.support.client import Client

pytestmark = pytest.mark.contract


def test_a_cancel_is_accepted_and_a_second_one_refused(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    answer = eva.post(f"/runs/{run['id']}/cancel", {"reason": "not needed"})
    assert (answer.status_code, set(answer.json()) >= RUN) == (202, True)
    assert answer.json()["status"] in {"cancelling", "cancelled"}
    done = eva.wait(run["id"], 9)
    assert (done["status"], done["explanation"]) == ("cancelled", "Cancelled: not needed")
    problem(eva.post(f"/runs/{run['id']}/cancel"), 409, "run_ended")
    path = f"/runs/{nap()['id']}/cancel"
    problem(eva.post(path, {"why": "x"}), 422, "unknown_field", "why")
    eva.post(path)


def test_a_cancel_of_a_sleeping_step_is_seen_within_two_seconds(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    while eva.run(run["id"])["status"] == "queued":
        pass
    eva.post(f"/runs/{run['id']}/cancel")
    assert eva.wait(run["id"], 2)["status"] == "cancelled"


def test_pause_and_resume_answer_with_the_run(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap(3)
    paused = eva.post(f"/runs/{run['id']}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert eva.post(f"/runs/{run['id']}/pause").status_code == 200
    resumed = eva.post(f"/runs/{run['id']}/resume")
    assert resumed.status_code == 200
    assert resumed.json()["status"] in {"queued", "running"}
    problem(eva.post(f"/runs/{run['id']}/resume"), 409, "not_paused")
    eva.wait(run["id"])
    problem(eva.post(f"/runs/{run['id']}/pause"), 409, "not_pausable")


def test_a_retry_is_a_new_run_linked_to_the_old(
    eva: Client, workflow: dict[str, Any], finished: dict[str, Any]
) -> None:
    path = f"/runs/{finished['id']}/retry"
    answer = eva.post(path, {"from": "start", "input": {"x": 1}})
    assert answer.status_code == 201
    new = answer.json()
    assert (new["parent"], new["relation"]) == (finished["id"], "retry")
    assert eva.wait(new["id"])["output"] == {"y": 2}
    again = eva.post(path, {"from": "b"})
    kept, done = eva.steps(eva.wait(again.json()["id"])["id"])
    assert (kept["output"], kept["attempt"], kept["attempts"], kept["calls"]) == (
        {"x": 41},
        0,
        [],
        [],
    )
    assert (done["attempt"], done["output"]) == (1, {"y": 42})
    assert [r["id"] for r in eva.get("/runs", parent=finished["id"]).json()["results"]] == [
        again.json()["id"],
        new["id"],
    ]
    problem(eva.post(path, {"from": "failed"}), 409, "nothing_failed")
    problem(eva.post(path, {"from": "failed", "input": {"x": 1}}), 422, field="input")
    problem(eva.post(path, {"from": "nowhere"}), 422, "does_not_exist", "from")
    problem(eva.post(path, {"from": 7}), 422, field="from")
    problem(eva.post(path, {"to": "b"}), 422, "unknown_field", "to")
    problem(eva.post(path, {"from": "start", "input": {}}), 422, "required")


def test_a_retry_with_a_key_is_made_once(eva: Client, finished: dict[str, Any]) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    path = f"/runs/{finished['id']}/retry"
    first = eva.post(path, {"from": "start"}, **key)
    eva.wait(first.json()["id"])
    again = eva.post(path, {"from": "start"}, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    problem(eva.post(path, {"from": "b"}, **key), 422, "idempotency_key_reused")


def test_a_run_that_has_not_ended_is_not_retried(
    eva: Client, nap: Callable[..., dict[str, Any]]
) -> None:
    run = nap()
    problem(eva.post(f"/runs/{run['id']}/retry", {"from": "start"}), 409, "not_terminal")
    eva.post(f"/runs/{run['id']}/cancel")


def test_a_deadline_times_a_run_out(eva: Client, nap: Callable[..., dict[str, Any]]) -> None:
    run = eva.wait(nap(60, deadline_seconds=1)["id"], 10)
    assert (run["status"], run["reason"]) == ("timed_out", "deadline")
    assert run["explanation"] == "The run passed its deadline."


def test_methods_that_runs_do_not_have_are_refused(eva: Client, finished: dict[str, Any]) -> None:
    path = f"/runs/{finished['id']}"
    for answer in (eva.delete(path), eva.put(path, {}), eva.patch(path, {"tags": []})):
        problem(answer, 405)


def test_a_trailing_slash_is_optional(eva: Client, finished: dict[str, Any]) -> None:
    for path in ("/runs", f"/runs/{finished['id']}", f"/runs/{finished['id']}/steps"):
        bare, slashed = eva.get(path), eva.get(f"{path}/")
        assert (bare.status_code, slashed.status_code) == (200, 200)
        assert bare.json().get("results") == slashed.json().get("results")

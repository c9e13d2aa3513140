"""Verbs on many runs while the worker that carries them out is killed."""

import pytest

from tests.chaos.scene import Scene

pytestmark = pytest.mark.chaos

RUNS = 300
REST = {"nodes": [{"id": "rest", "kind": "wait", "seconds": 3600}], "edges": []}


def test_a_bulk_job_survives_its_worker_and_does_each_row_once(scene: Scene) -> None:
    workflow = scene.workflow(REST)
    scene.start_many(workflow, [{}] * RUNS)
    body = {"action": "cancel", "filter": {"workflow": workflow["id"]}}
    answer = scene.user.post("/runs/bulk", body)
    assert answer.status_code == 202, answer.text
    url = f"/bulk-jobs/{answer.json()['id']}"

    def job() -> dict:
        return dict(scene.user.get(url).json())

    scene.until(lambda: job()["done"] >= 10, 20, "the first rows")
    scene.stack.kill_worker()
    seen = job()
    assert seen["status"] == "running"
    assert seen["done"] < RUNS, "the worker was killed in the middle"
    scene.stack.redis.flushall()
    scene.stack.start_worker()
    scene.until(lambda: job()["ended_at"] is not None, 60, "the end of the job")
    ended = job()
    assert (ended["status"], ended["done"], ended["refused"]) == ("succeeded", RUNS, 0)
    found = scene.stack.sql(
        "SELECT count(*) AS entries, count(DISTINCT target_id) AS runs FROM audit_entry a"
        " JOIN run r ON r.id::text = a.target_id"
        " WHERE a.action = 'run.cancelled' AND r.workflow_id = %s",
        [workflow["id"]],
    )
    assert found == [{"entries": RUNS, "runs": RUNS}]
